//! One network with more silent connections than the node has places for handshakes.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::node::Node;

/// As many as handshakes may be under way (`HANDSHAKES_MAX`).
const CONNECTIONS: usize = 8_192;
const NETWORK: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 1);

#[test]
fn one_silent_network_does_not_pause_accepting() {
    let node = Node::start(20_000);
    let before = node.figures();
    let silent: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(node.server())).collect();
    // Accepted in order, so all of them are when this client is.
    node.attach();
    let held = silent.iter().filter(|stream| !is_closed(stream)).count();
    assert!(held <= CONNECTIONS / 2, "{held} of {CONNECTIONS} are held");
    let refused = node.metric("crs_connections_refused_total{reason=\"network\"}");
    // Half of them, unless it takes so long to connect all that the first are cut by time.
    assert!(refused > 0, "none is refused");
    assert_eq!(node.metric("crs_accept_pauses_total"), 0);
    drop(silent);
    node.is_as_before(before);
}

/// From an address of the network.
fn connect(server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(IpAddr::V4(NETWORK), 0).into()).expect("a loopback address");
    socket.connect(&server.into()).expect("the port is open");
    socket.into()
}

fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
