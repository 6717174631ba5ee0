//! Directives of the media relay: `crs-relay.conf` (C-094…C-099) and its threads.

use crs_relay::config::{RelayLimits, THREADS_MAX};

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::local::once;
use super::problem::Wrong;
use super::values::{self, Args};

/// A limit of the relay. `reload`: taken by SIGHUP; what memory was reserved for is not.
const fn setting(
    reload: bool,
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    parse: fn(&mut Draft, Args<'_>) -> Result<(), Wrong>,
) -> Directive {
    Directive { name, usage, scope: Scope::Relay, repeats: Repeats::Once, reload, about, parse }
}

pub(super) const DIRECTIVES: &[Directive] = &[
    setting(
        true,
        "MAX_RTP_RELAYS",
        "=<limit>",
        "Simultaneous RTP relays of this node; default: no limit.",
        |draft, args| limit(draft, args, |limits| &mut limits.rtp),
    ),
    setting(
        true,
        "MAX_RTP_PROXY_RELAYS",
        "=<limit>",
        "Simultaneous RTP proxy relays; default: no limit.",
        |draft, args| limit(draft, args, |limits| &mut limits.rtp_proxy),
    ),
    setting(
        true,
        "MAX_OPAQUE_RELAYS",
        "=<limit>",
        "Simultaneous opaque relays; default: no limit.",
        |draft, args| limit(draft, args, |limits| &mut limits.opaque),
    ),
    setting(
        true,
        "MAX_OPAQUE_PROXY_RELAYS",
        "=<limit>",
        "Simultaneous opaque proxy relays; default: no limit.",
        |draft, args| limit(draft, args, |limits| &mut limits.opaque_proxy),
    ),
    setting(
        true,
        "MAX_OPAQUE_MULTICAST_RELAYS",
        "=<limit>",
        "Simultaneous opaque multicast relays (conferences); default: no limit.",
        |draft, args| limit(draft, args, |limits| &mut limits.opaque_multicast),
    ),
    setting(
        false,
        "MAX_LEGS",
        "=<limit>",
        "Legs of all types for which memory is reserved; default 16384. (Extension.)",
        |draft, args| number(args, 2, 1 << 20).map(|n| draft.max_legs = Some(n)),
    ),
    setting(
        false,
        "LEG_PACKETS_PER_SECOND",
        "=<limit>",
        "Packets one leg may send into the relay each second; default 2000. (Extension.)",
        |draft, args| number(args, 1, 1 << 24).map(|n| draft.leg_packets = Some(n)),
    ),
    setting(
        false,
        "LEG_BYTES_PER_SECOND",
        "=<limit>",
        "Bytes one leg may send into the relay each second; default 2000000. (Extension.)",
        |draft, args| number(args, 1500, 1 << 30).map(|n| draft.leg_bytes = Some(n)),
    ),
    once(
        "relay-threads",
        "<number>",
        "Pinned threads of the media relay, 1 to 32; default 1. (Extension.)",
        |draft, args| number(args, 1, THREADS_MAX).map(|n| draft.relay_threads = Some(n)),
    ),
    once(
        "relay-cpus",
        "<number> …",
        "Processors to which the relay's threads are pinned, one for each; default: not pinned. (Extension.)",
        relay_cpus,
    ),
    once(
        "relay-offload",
        "on|off",
        "Use the kernel's segmentation offload for UDP; default off. (Extension.)",
        |draft, mut args| {
            let word = args.next("on or off")?;
            draft.relay_offload = values::choice(word, &[("on", true), ("off", false)])?;
            args.end()
        },
    ),
];

fn number<T>(mut args: Args<'_>, min: T, max: T) -> Result<T, Wrong>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value = values::number(args.next("a limit")?, "a limit", min, max)?;
    args.end()?;
    Ok(value)
}

fn limit(
    draft: &mut Draft,
    args: Args<'_>,
    slot: fn(&mut RelayLimits) -> &mut Option<u64>,
) -> Result<(), Wrong> {
    *slot(&mut draft.relay_limits) = Some(number(args, 0, 1 << 32)?);
    Ok(())
}

fn relay_cpus(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let words = args.rest();
    if words.is_empty() || words.len() > THREADS_MAX {
        return Err(Wrong::expected(format!("expected 1 to {THREADS_MAX} processor numbers")));
    }
    draft.relay_cpus = words
        .iter()
        .map(|word| values::number(word, "a processor", 0, 4095))
        .collect::<Result<_, _>>()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crs_relay::config::{LEG_BYTES_PER_SECOND, LEG_PACKETS_PER_SECOND, LEGS_DEFAULT};

    use super::DIRECTIVES;

    #[test]
    fn documented_defaults_are_those_of_the_relay() {
        for (name, default) in [
            ("MAX_LEGS", LEGS_DEFAULT),
            ("LEG_PACKETS_PER_SECOND", LEG_PACKETS_PER_SECOND as usize),
            ("LEG_BYTES_PER_SECOND", LEG_BYTES_PER_SECOND as usize),
        ] {
            let about = DIRECTIVES.iter().find(|directive| directive.name == name).unwrap().about;
            assert!(about.contains(&format!("default {default}.")), "{about}");
        }
    }
}
