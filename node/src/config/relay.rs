//! Directives of the media relay: `crs-relay.conf` (C-094…C-099) and its threads.

use crs_relay::config::{RelayLimits, THREADS_MAX};

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::local::once;
use super::problem::Wrong;
use super::types::Config;
use super::values::{self, Args};

/// A limit of the relay. `reload`: taken by SIGHUP; what memory was reserved for is not.
const fn setting(
    reload: bool,
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    same: fn(&Config, &Config) -> bool,
    parse: fn(&mut Draft, Args<'_>) -> Result<(), Wrong>,
) -> Directive {
    Directive {
        name,
        usage,
        scope: Scope::Relay,
        repeats: Repeats::Once,
        reload,
        about,
        same,
        parse,
    }
}

pub(super) const DIRECTIVES: &[Directive] = &[
    setting(
        true,
        "MAX_RTP_RELAYS",
        "=<limit>",
        "Simultaneous RTP relays of this node; default: no limit.",
        |a, b| a.relay.limits.rtp == b.relay.limits.rtp,
        |draft, args| limit(draft, args, |limits| &mut limits.rtp),
    ),
    setting(
        true,
        "MAX_RTP_PROXY_RELAYS",
        "=<limit>",
        "Simultaneous RTP proxy relays; default: no limit.",
        |a, b| a.relay.limits.rtp_proxy == b.relay.limits.rtp_proxy,
        |draft, args| limit(draft, args, |limits| &mut limits.rtp_proxy),
    ),
    setting(
        true,
        "MAX_OPAQUE_RELAYS",
        "=<limit>",
        "Simultaneous opaque relays; default: no limit.",
        |a, b| a.relay.limits.opaque == b.relay.limits.opaque,
        |draft, args| limit(draft, args, |limits| &mut limits.opaque),
    ),
    setting(
        true,
        "MAX_OPAQUE_PROXY_RELAYS",
        "=<limit>",
        "Simultaneous opaque proxy relays; default: no limit.",
        |a, b| a.relay.limits.opaque_proxy == b.relay.limits.opaque_proxy,
        |draft, args| limit(draft, args, |limits| &mut limits.opaque_proxy),
    ),
    setting(
        true,
        "MAX_OPAQUE_MULTICAST_RELAYS",
        "=<limit>",
        "Simultaneous opaque multicast relays (conferences); default: no limit.",
        |a, b| a.relay.limits.opaque_multicast == b.relay.limits.opaque_multicast,
        |draft, args| limit(draft, args, |limits| &mut limits.opaque_multicast),
    ),
    setting(
        false,
        "MAX_LEGS",
        "=<limit>",
        "Legs of all types for which memory is reserved; default 16384. (Extension.)",
        |a, b| a.relay.max_legs == b.relay.max_legs,
        |draft, args| number(args, 2, 1 << 20).map(|n| draft.max_legs = Some(n)),
    ),
    setting(
        false,
        "LEG_PACKETS_PER_SECOND",
        "=<limit>",
        "Packets one leg may send into the relay each second; default 2000. (Extension.)",
        |a, b| a.relay.rate.packets_per_second == b.relay.rate.packets_per_second,
        |draft, args| number(args, 1, 1 << 24).map(|n| draft.leg_packets = Some(n)),
    ),
    setting(
        false,
        "LEG_BYTES_PER_SECOND",
        "=<limit>",
        "Bytes one leg may send into the relay each second; default 2000000. (Extension.)",
        |a, b| a.relay.rate.bytes_per_second == b.relay.rate.bytes_per_second,
        |draft, args| number(args, 1500, 1 << 30).map(|n| draft.leg_bytes = Some(n)),
    ),
    once(
        "relay-threads",
        "<number>",
        "Pinned threads of the media relay, 1 to 32; default 1. (Extension.)",
        |a, b| a.relay.threads == b.relay.threads,
        |draft, args| number(args, 1, THREADS_MAX).map(|n| draft.relay_threads = Some(n)),
    ),
    once(
        "relay-cpus",
        "<number> …",
        "Processors to which the relay's threads are pinned, one for each; default: not pinned. (Extension.)",
        |a, b| a.relay.cpus == b.relay.cpus,
        relay_cpus,
    ),
    once(
        "relay-offload",
        "on|off",
        "Use the kernel's segmentation offload for UDP; default off. (Extension.)",
        |a, b| a.relay.offload == b.relay.offload,
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
