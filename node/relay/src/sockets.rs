//! Binding the media port: every address once per thread.

use std::net::SocketAddr;
use std::sync::Arc;

use crs_udp::{Socket, SocketOptions};

use crate::allocation::StartError;
use crate::config::RelayConfig;

/// The addresses, and per thread one socket for each.
pub(crate) type Bound = (Vec<SocketAddr>, Vec<Vec<Arc<Socket>>>);

/// Binds every address once per thread. Port 0 of the first address decides the port of all.
pub(crate) fn bind_all(config: &RelayConfig) -> Result<Bound, StartError> {
    let options = SocketOptions { reuse_port: config.threads > 1, coalesce: config.offload };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut sockets: Vec<Vec<Arc<Socket>>> = vec![Vec::new(); config.threads];
    for wanted in &config.addresses {
        let mut addr = *wanted;
        if addr.port() == 0
            && let Some(first) = addresses.first()
        {
            addr.set_port(first.port());
        }
        for of_thread in &mut sockets {
            let failed =
                |source| StartError::Io { what: format!("bind media address {addr}/udp"), source };
            let socket = Socket::bind(addr, options).map_err(failed)?;
            addr = socket.local_addr().map_err(failed)?;
            of_thread.push(Arc::new(socket));
        }
        addresses.push(addr);
    }
    Ok((addresses, sockets))
}
