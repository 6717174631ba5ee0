//! Are the ports of a node free? (C-022 … C-028, design.md §4.)

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crs_admin_api::command::doctor::Check;

use super::{fail, seen, warn};

/// A port that a node binds with its default configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port {
    /// The check's name.
    pub(super) name: &'static str,
    number: u16,
    transport: Transport,
    purpose: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Transport {
    Tcp,
    Udp,
}

/// All of them.
pub(super) const NEEDED: [Port; 6] = [
    port("port-clients", 5223, Transport::Tcp, "clients"),
    port("port-media", 146, Transport::Udp, "media"),
    port("port-pool", 8090, Transport::Udp, "pool control"),
    port("port-bulk", 8091, Transport::Udp, "pool bulk"),
    port("port-interworking", 8080, Transport::Tcp, "inter-working"),
    port("port-metrics", 9146, Transport::Tcp, "metrics"),
];

const fn port(
    name: &'static str,
    number: u16,
    transport: Transport,
    purpose: &'static str,
) -> Port {
    Port { name, number, transport, purpose }
}

/// Binds the port for a moment.
pub(super) fn free(check: Check, port: Port) -> Check {
    let Port { number, purpose, .. } = port;
    let any = (Ipv4Addr::UNSPECIFIED, number);
    let (word, bound) = match port.transport {
        Transport::Tcp => ("tcp", TcpListener::bind(any).map(drop)),
        Transport::Udp => ("udp", UdpSocket::bind(any).map(drop)),
    };
    match bound {
        Ok(()) => seen(check, format!("{number}/{word} ({purpose}) is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => fail(
            check,
            format!("{number}/{word} ({purpose}) is taken"),
            "another program, or a node, has the port",
            &format!("ss -lnp 'sport = :{number}'"),
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => warn(
            check,
            format!("{number}/{word} ({purpose}) cannot be tried by this user"),
            "ports below 1024 need root or CAP_NET_BIND_SERVICE",
            "sudo crs-cli doctor --pre",
        ),
        Err(error) => fail(
            check,
            format!("{number}/{word} ({purpose}) cannot be bound: {error}"),
            "the network of this machine is not set up",
            "ip address show",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crs_admin_api::command::doctor::Verdict;

    use super::*;

    #[test]
    fn a_taken_port_is_a_failure_and_a_free_one_is_not() {
        let holder = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let number = holder.local_addr().unwrap().port();
        let port = Port { name: "x", number, transport: Transport::Udp, purpose: "test" };
        assert_eq!(free(Check::ok("ports", "x", ""), port).result, Verdict::Fail);
        drop(holder);
        assert_eq!(free(Check::ok("ports", "x", ""), port).result, Verdict::Ok);
    }
}
