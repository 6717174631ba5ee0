//! Directives of push notifications (C-075…C-077, Q-32): parsed and kept for that feature.

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::problem::Wrong;
use super::types::{Apns, Cps, KeyLength, PushProvider};
use super::values::{self, Args};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "cps",
        usage: "<host> <port> <id> <shared secret> [128bit|256bit]",
        scope: Scope::Pool,
        repeats: Repeats::Once,
        reload: false,
        about: "The push gateway. Without a key length 128bit is assumed, with a warning.",
        same: |a, b| a.push.cps == b.push.cps,
        parse: cps,
    },
    Directive {
        name: "features",
        usage: "[push]",
        scope: Scope::Pool,
        repeats: Repeats::Once,
        reload: false,
        about: "Features that are switched on; without `push` there are no push notifications.",
        same: |a, b| a.push.enabled == b.push.enabled,
        parse: features,
    },
    Directive {
        name: "push-config",
        usage: "apns type direct | apns key <p8 file> <key id> <team> <topic> | fcm|webpush|unifiedpush <arguments>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: true,
        about: "How pushes are sent: direct to APNs with tokens from the gateway, with an own signing key, or by \
                another provider. Without it everything goes through the gateway.",
        same: |a, b| a.push.providers == b.push.providers,
        parse: push_config,
    },
];

fn cps(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let host = args.next("a host name")?.to_owned();
    let port = values::port(args.next("a port")?)?;
    let id = args.next("an id")?.to_owned();
    let secret = args.next("a shared secret")?;
    let length = if let Some(word) = args.maybe() {
        values::key_length(word)?
    } else {
        draft.remark("no key length given, 128bit is assumed; add 128bit or 256bit");
        KeyLength::Bits128
    };
    args.end()?;
    if host.parse::<std::net::IpAddr>().is_err() {
        values::dns_name(&host)?;
    }
    let secret = values::secret(secret, length)?;
    draft.push.cps = Some(Cps { host, port, id, secret, length });
    Ok(())
}

fn features(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    for word in args.rest() {
        values::choice(word, &[("push", ())])?;
        draft.push.enabled = true;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Provider {
    Apns,
    Other(&'static str),
}

fn push_config(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let providers = [
        ("apns", Provider::Apns),
        ("fcm", Provider::Other("fcm")),
        ("webpush", Provider::Other("webpush")),
        ("unifiedpush", Provider::Other("unifiedpush")),
    ];
    let provider = match values::choice(args.next("a provider")?, &providers)? {
        Provider::Apns => PushProvider::Apns(apns(&mut args)?),
        Provider::Other(name) => {
            PushProvider::Other { name: name.to_owned(), words: args.rest().to_vec() }
        }
    };
    args.end()?;
    draft.push.providers.push(provider);
    Ok(())
}

fn apns(args: &mut Args<'_>) -> Result<Apns, Wrong> {
    if values::choice(args.next("type or key")?, &[("type", true), ("key", false)])? {
        values::choice(args.next("direct")?, &[("direct", ())])?;
        return Ok(Apns::Direct);
    }
    Ok(Apns::Key {
        file: args.path("the file of the signing key")?,
        key_id: args.next("a key id")?.to_owned(),
        team: args.next("a team id")?.to_owned(),
        topic: args.next("a topic")?.to_owned(),
    })
}
