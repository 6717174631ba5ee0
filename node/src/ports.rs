//! `crs-node ports`: every port of the configuration (C-022…C-031, U3), also as firewall text.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crs_admin_api::render::{Format, Options, render};
use crs_admin_api::view::Render as _;

use crate::cli::PortsOutput;
use crate::config::{Apns, Config, PushProvider};

crs_admin_api::row! {
    /// One port.
    pub struct Port {
        /// Short name.
        name: String => "NAME",
        /// Port number.
        port: u16 => "PORT",
        /// `tcp` or `udp`.
        proto: String => "PROTO",
        /// `in` or `out`.
        direction: String => "DIRECTION",
        /// Address it is bound to, or the far end.
        address: String => "ADDRESS",
        /// Who must reach it, or be reached: `any`, `local`, addresses of the pool.
        peers: Vec<String> => "PEERS",
        /// What it is for.
        why: String => "WHY",
    }
}

/// All ports of a configuration.
pub fn ports(config: &Config) -> Vec<Port> {
    let pool = pool_peers(config);
    let listen = &config.listen;
    let mut ports = vec![inbound(
        "client",
        listen.client,
        "tcp",
        &any(),
        "clients and remote admins: signalling over TLS",
    )];
    for addr in &listen.media {
        ports.push(inbound("media", *addr, "udp", &any(), "clients and other hosts: media (SRTP)"));
    }
    ports.push(inbound(
        "pool",
        listen.pool,
        "udp",
        &pool,
        "other nodes of the pool: control (QUIC)",
    ));
    ports.push(inbound(
        "bulk",
        listen.bulk,
        "udp",
        &pool,
        "other nodes of the pool: synchronisation (QUIC)",
    ));
    ports.push(inbound(
        "iw",
        listen.iw,
        "tcp",
        &any(),
        "hosts of other operators: inter-working over TLS",
    ));
    if let Some(metrics) = listen.metrics {
        let peers = if metrics.ip().is_loopback() { vec!["local".to_owned()] } else { any() };
        ports.push(inbound("metrics", metrics, "tcp", &peers, "metrics and health, HTTP"));
    }
    ports.push(outbound(
        "pool-out",
        "nodes of the pool",
        listen.pool.port(),
        "udp",
        &pool,
        "other nodes of the pool: control (QUIC)",
    ));
    ports.push(outbound(
        "bulk-out",
        "nodes of the pool",
        listen.bulk.port(),
        "udp",
        &pool,
        "other nodes of the pool: synchronisation (QUIC)",
    ));
    ports.extend(push_ports(config));
    ports
}

/// The ports in one of the formats.
pub fn print(ports: &[Port], output: PortsOutput) -> String {
    let as_format =
        |format| render(&ports.to_vec().view(), &Options { format, ..Options::default() });
    match output {
        PortsOutput::Table => as_format(Format::Table),
        PortsOutput::Json => as_format(Format::Json),
        PortsOutput::Tsv => as_format(Format::Tsv),
        PortsOutput::Nft => nft(ports),
        PortsOutput::Ufw => ufw(ports),
        PortsOutput::Firewalld => firewalld(ports),
    }
}

fn any() -> Vec<String> {
    vec!["any".to_owned()]
}

/// Addresses of the other nodes; unknown ones are told as `pool`.
fn pool_peers(config: &Config) -> Vec<String> {
    let others = config.pool.hosts.iter().filter(|host| host.name != config.name);
    let peers: Vec<String> = others.filter_map(|host| host.ip).map(|ip| ip.to_string()).collect();
    if peers.is_empty() { vec!["pool".to_owned()] } else { peers }
}

fn inbound(name: &str, addr: SocketAddr, proto: &str, peers: &[String], why: &str) -> Port {
    Port {
        name: name.to_owned(),
        port: addr.port(),
        proto: proto.to_owned(),
        direction: "in".to_owned(),
        address: addr.ip().to_string(),
        peers: if addr.ip().is_loopback() { vec!["local".to_owned()] } else { peers.to_vec() },
        why: why.to_owned(),
    }
}

fn outbound(name: &str, to: &str, port: u16, proto: &str, peers: &[String], why: &str) -> Port {
    Port {
        name: name.to_owned(),
        port,
        proto: proto.to_owned(),
        direction: "out".to_owned(),
        address: to.to_owned(),
        peers: peers.to_vec(),
        why: why.to_owned(),
    }
}

fn push_ports(config: &Config) -> Vec<Port> {
    if !config.push.enabled {
        return Vec::new();
    }
    let gateway =
        config.push.cps.iter().map(|cps| {
            outbound("cps", &cps.host, cps.port, "tcp", &any(), "push gateway over TLS")
        });
    let direct = config.push.providers.iter().map(|provider| match provider {
        PushProvider::Apns(Apns::Direct | Apns::Key { .. }) => {
            let host = "api.push.apple.com";
            outbound("apns", host, 443, "tcp", &any(), "direct push to APNs over HTTPS")
        }
        PushProvider::Other { name, .. } => {
            outbound(name, name, 443, "tcp", &any(), "push provider over HTTPS")
        }
    });
    gateway.chain(direct).collect()
}

/// Ports that somebody outside this machine must reach.
fn open(ports: &[Port]) -> impl Iterator<Item = &Port> {
    ports.iter().filter(|port| port.direction == "in" && port.peers != ["local"])
}

fn sources(port: &Port) -> Vec<IpAddr> {
    port.peers.iter().filter_map(|peer| peer.parse().ok()).collect()
}

fn nft(ports: &[Port]) -> String {
    let mut text = "# nft -f <this file>\ntable inet crs {\n  chain input {\n    type filter hook input priority filter; policy accept;\n".to_owned();
    for port in open(ports) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "    # {}", port.why);
        let rule = format!("{} dport {} accept", port.proto, port.port);
        let from = sources(port);
        if from.is_empty() {
            let _infallible = writeln!(text, "    {rule}");
        }
        for ip in from {
            let family = if ip.is_ipv4() { "ip" } else { "ip6" };
            let _infallible = writeln!(text, "    {family} saddr {ip} {rule}");
        }
    }
    text.push_str("  }\n}\n");
    text
}

fn ufw(ports: &[Port]) -> String {
    let mut text = String::new();
    for port in open(ports) {
        let from = sources(port);
        let targets: Vec<String> = if from.is_empty() {
            vec!["any".to_owned()]
        } else {
            from.iter().map(ToString::to_string).collect()
        };
        for source in targets {
            let (proto, number, why) = (&port.proto, port.port, &port.why);
            let _infallible = writeln!(
                text,
                "ufw allow proto {proto} from {source} to any port {number} comment '{why}'"
            );
        }
    }
    text
}

/// The service `crs` (C-031); firewalld services name no sources, zones do.
fn firewalld(ports: &[Port]) -> String {
    let mut text =
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<service>\n  <short>crs</short>\n  \
                    <description>Rendezvous server</description>\n"
            .to_owned();
    for port in open(ports) {
        let _infallible =
            writeln!(text, "  <port protocol=\"{}\" port=\"{}\"/>", port.proto, port.port);
    }
    text.push_str("</service>\n");
    text
}

#[cfg(test)]
mod tests {
    use crate::config::{Source, SourceKind, Sources, Strictness, parse};

    use super::*;

    fn example() -> Vec<Port> {
        let text = "key q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\nip crs1 192.0.2.1\nip crs2 192.0.2.2\n\
                    features push\ncps cps.example.org 5230 a 00112233445566778899aabbccddeeff 128bit\n\
                    push-config apns type direct\n";
        let source = |kind, text: &str| Source { kind, name: "f".into(), bytes: text.into() };
        let sources = Sources::new(vec![
            source(SourceKind::Pool, text),
            source(SourceKind::Local, "crsname crs1"),
        ]);
        ports(&parse(&sources, Strictness::Strict).unwrap())
    }

    #[test]
    fn the_manuals_ports_are_all_there() {
        let seen: Vec<(u16, String, String)> =
            example().into_iter().map(|p| (p.port, p.proto, p.direction)).collect();
        for (port, proto, direction) in [
            (5223, "tcp", "in"),
            (146, "udp", "in"),
            (8090, "udp", "in"),
            (8091, "udp", "in"),
            (8080, "tcp", "in"),
            (9146, "tcp", "in"),
            (5230, "tcp", "out"),
            (443, "tcp", "out"),
        ] {
            let expected = (port, proto.to_owned(), direction.to_owned());
            assert!(seen.contains(&expected), "{expected:?} not in {seen:?}");
        }
    }

    #[test]
    fn json_has_port_proto_and_why_everywhere() {
        let json: serde_json::Value =
            serde_json::from_str(&print(&example(), PortsOutput::Json)).unwrap();
        for port in json.as_array().unwrap() {
            assert!(port["port"].is_u64() && port["proto"].is_string() && port["why"].is_string());
        }
    }

    #[test]
    fn firewalls_open_what_others_reach_and_nothing_else() {
        let nft = print(&example(), PortsOutput::Nft);
        assert!(nft.contains("    tcp dport 5223 accept\n"), "{nft}");
        assert!(nft.contains("    ip saddr 192.0.2.2 udp dport 8090 accept\n"), "{nft}");
        let ufw = print(&example(), PortsOutput::Ufw);
        assert!(
            ufw.contains("ufw allow proto udp from 192.0.2.2 to any port 8091 comment '"),
            "{ufw}"
        );
        let firewalld = print(&example(), PortsOutput::Firewalld);
        assert!(firewalld.contains("<port protocol=\"udp\" port=\"146\"/>"), "{firewalld}");
        for text in [nft, ufw, firewalld] {
            assert!(!text.contains("9146") && !text.contains("443"), "{text}");
        }
    }
}
