//! A relay leg: binds it by STUN, answers the relay's checks, keeps consent (RFC 8489, 7675).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crs_proto::leg::{self, LegCredentials, PacketKind, TransactionId};
use crs_proto::wire::relay::{Leg as WireLeg, MediaAddress};
use crs_types::{ClientAddr, OsRng};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::error::ClientError;

/// First retransmission of a Binding request; doubles (RFC 8489 §6.2.1).
const RETRANSMIT: Duration = Duration::from_millis(100);
/// Time limit of binding.
const BIND_WITHIN: Duration = Duration::from_secs(8);
/// Largest datagram taken.
pub const DATAGRAM_MAX: usize = 2048;

/// A bound leg.
#[derive(Debug)]
pub struct Leg {
    socket: UdpSocket,
    relay: ClientAddr,
    credentials: LegCredentials,
    /// Our address as the relay sees it.
    pub mapped: ClientAddr,
}

/// A datagram from the relay, after STUN has been dealt with.
#[derive(Debug, PartialEq, Eq)]
pub enum Datagram {
    /// RTP or RTCP.
    Rtp,
    /// STUN, answered or noted.
    Stun,
    /// Something else.
    Other,
}

impl Leg {
    /// Opens a socket and binds the leg; returns when the relay has checked our address.
    pub async fn bind(allocated: &WireLeg) -> Result<Self, ClientError> {
        let media = |e: &dyn std::fmt::Display| ClientError::Media(e.to_string());
        let Some(MediaAddress::Udp { addr }) = allocated.addresses.first() else {
            return Err(ClientError::Media("the relay gave no address".to_owned()));
        };
        let credentials =
            LegCredentials::parse(&allocated.ufrag, &allocated.password).map_err(|e| media(&e))?;
        let local: SocketAddr = match addr {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        socket.connect(addr).await?;
        let relay = ClientAddr::new(*addr);
        let mut leg = Self { socket, relay, credentials, mapped: relay };
        leg.prove().await?;
        Ok(leg)
    }

    async fn prove(&mut self) -> Result<(), ClientError> {
        let id = leg::client::transaction_id(&mut OsRng);
        let request = leg::client::binding_request(&self.credentials, id);
        let deadline = Instant::now() + BIND_WITHIN;
        let mut pause = RETRANSMIT;
        let mut buffer = vec![0; DATAGRAM_MAX];
        while Instant::now() < deadline {
            // A refused datagram (ICMP) is reported here; the next try may pass.
            let _ = self.socket.send(request.as_bytes()).await;
            let until = (Instant::now() + pause).min(deadline);
            pause *= 2;
            while let Ok(received) = timeout_at(until, self.socket.recv(&mut buffer)).await {
                let Ok(length) = received else { continue };
                if let Some(mapped) = self.stun(&buffer[..length], id).await {
                    self.mapped = mapped;
                    return Ok(());
                }
            }
        }
        let why = format!("the relay at {} does not answer", self.relay);
        Err(ClientError::Media(why))
    }

    /// Sends a datagram.
    pub async fn send(&self, packet: &[u8]) -> std::io::Result<()> {
        self.socket.send(packet).await.map(|_| ())
    }

    /// Sends a Binding request that keeps the path open; its answer is taken by [`Self::sort`].
    pub async fn refresh(&self) {
        let id = leg::client::transaction_id(&mut OsRng);
        let request = leg::client::binding_request(&self.credentials, id);
        let _ = self.socket.send(request.as_bytes()).await;
    }

    /// The next datagram. Cancel-safe.
    pub async fn receive(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.recv(buffer).await
    }

    /// Says what a datagram is; answers it when it is a check.
    pub async fn sort(&self, packet: &[u8]) -> Datagram {
        match leg::demux(packet) {
            PacketKind::Rtp => Datagram::Rtp,
            PacketKind::Stun => {
                self.stun(packet, TransactionId([0; 12])).await;
                Datagram::Stun
            }
            PacketKind::Node | PacketKind::Dtls | PacketKind::ChannelData | PacketKind::Unknown => {
                Datagram::Other
            }
        }
    }

    async fn stun(&self, packet: &[u8], id: TransactionId) -> Option<ClientAddr> {
        if let Some(answer) = leg::client::answer_check(&self.credentials, packet, self.relay) {
            let _ = self.socket.send(answer.as_bytes()).await;
        }
        leg::client::accepted(&self.credentials, packet, id)
    }
}
