//! Ports that two listeners would share: the second one could not be bound.

use std::net::{IpAddr, SocketAddr};

use super::problem::Problem;
use super::types::{Listen, Place, Places};
use super::{Problems, Severity};

/// One listener of the node.
struct Listener<'a> {
    directive: &'static str,
    tcp: bool,
    addr: SocketAddr,
    /// Its line; `None` when it is the default.
    place: Option<&'a Place>,
}

/// Tells every listener that has the port of another one.
pub(super) fn check(listen: &Listen, places: &Places, problems: &mut Problems) {
    let all = listeners(listen, places);
    for (index, second) in all.iter().enumerate() {
        for first in all.iter().take(index).filter(|first| collide(first, second)) {
            problems.push(problem(first, second));
        }
    }
}

/// All of them; a new listener cannot be forgotten.
fn listeners<'a>(listen: &Listen, places: &'a Places) -> Vec<Listener<'a>> {
    let Listen { client, media, metrics, pool, bulk, iw } = listen;
    let port_alone = places.last("iw-listen").is_none() && places.last("iw-listen-port").is_some();
    let iw_directive = if port_alone { "iw-listen-port" } else { "iw-listen" };
    let one = |directive, tcp, addr: &SocketAddr| Listener {
        directive,
        tcp,
        addr: *addr,
        place: places.last(directive),
    };
    let mut all = vec![one("client-listen", true, client)];
    all.extend(metrics.iter().map(|addr| one("metrics-listen", true, addr)));
    all.push(one(iw_directive, true, iw));
    let mut lines = places.of("media-listen");
    all.extend(
        media
            .iter()
            .map(|addr| Listener { place: lines.next(), ..one("media-listen", false, addr) }),
    );
    all.push(one("pool-listen", false, pool));
    all.push(one("bulk-listen", false, bulk));
    all
}

/// Port 0 is a free one each time. `0.0.0.0` is every IPv4 address; `::` is every address at all with
/// TCP, and every IPv6 address with UDP, whose sockets carry one family only (`crs_udp::Socket`).
fn collide(a: &Listener<'_>, b: &Listener<'_>) -> bool {
    let covers = |any: IpAddr, other: IpAddr| {
        any == other
            || any.is_unspecified() && (any.is_ipv4() == other.is_ipv4() || a.tcp && any.is_ipv6())
    };
    let (first, second) = (a.addr.ip(), b.addr.ip());
    let port = a.addr.port();
    a.tcp == b.tcp
        && port != 0
        && port == b.addr.port()
        && (covers(first, second) || covers(second, first))
}

/// Told at the line that can be changed: two defaults never collide.
fn problem(first: &Listener<'_>, second: &Listener<'_>) -> Problem {
    let (told, other) = if second.place.is_some() { (second, first) } else { (first, second) };
    let where_other = match other.place {
        Some(place) => place.to_string(),
        None => "by default".to_owned(),
    };
    let expected = format!(
        "expected a port of its own; {} has {} ({where_other})",
        other.directive, other.addr
    );
    let got = told.addr.to_string();
    match told.place {
        Some(place) => Problem::at(Severity::Error, place, told.directive, expected, got),
        None => Problem { got: Some(got), ..Problem::general(Severity::Error, expected) },
    }
}
