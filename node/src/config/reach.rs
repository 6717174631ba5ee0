//! Addresses that no listener of the node serves: clients would be sent where nobody answers.

use std::net::{IpAddr, SocketAddr};

use super::problem::Problem;
use super::types::{Listen, Place, Places};
use super::{Problems, Severity};

/// Tells every announced media address, and the node's `ip`, whose family nothing listens on. A
/// warning, as a translator between IPv4 and IPv6 may stand in front of the node.
pub(super) fn check(
    listen: &Listen,
    media: &[(IpAddr, &'static str, Option<&Place>)],
    places: &Places,
    problems: &mut Problems,
) {
    for (ip, directive, place) in media {
        if !listen.media.iter().any(|addr| addr.is_ipv4() == ip.is_ipv4()) {
            let serves = listed("media-listen", &listen.media, places);
            let text = format!(
                "expected an address of a family that media-listen serves ({serves}): calls would \
                 have no media"
            );
            problems.push(problem(*place, directive, text, *ip));
        }
        // The port of clients takes IPv4 too when it is bound to `::`.
        let client = listen.client;
        let both = client.ip().is_unspecified() && client.is_ipv6();
        if *directive == "ip" && !both && client.is_ipv4() != ip.is_ipv4() {
            let serves = listed("client-listen", &[client], places);
            let text = format!(
                "expected an address of the family that client-listen serves ({serves}): clients \
                 would not reach the node there"
            );
            problems.push(problem(*place, directive, text, *ip));
        }
    }
}

/// What listens, and whether that was said.
fn listed(directive: &str, addrs: &[SocketAddr], places: &Places) -> String {
    let list = addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match places.last(directive) {
        Some(_) => list,
        None => format!("{list} by default"),
    }
}

fn problem(place: Option<&Place>, directive: &str, text: String, ip: IpAddr) -> Problem {
    let got = ip.to_string();
    match place {
        Some(place) => Problem::at(Severity::Warning, place, directive, text, got),
        None => Problem { got: Some(got), ..Problem::general(Severity::Warning, text) },
    }
}
