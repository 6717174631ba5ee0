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
        let relay = ClientAddr::new(*addr);
        let socket = open(*addr).await?;
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

    /// Opens a new socket: the old one may have an address that this host has no more. Until the
    /// leg is bound from it the relay sends to the old address, where nobody listens.
    pub async fn renew(&mut self) {
        // Without any network there is no socket to be had; the next try may find one.
        if let Ok(socket) = open(self.relay.socket()).await {
            self.socket = socket;
        }
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

async fn open(relay: SocketAddr) -> std::io::Result<UdpSocket> {
    let local: SocketAddr = match relay {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(relay).await?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use crs_keys::srtp::{MasterKey, Profile, SrtpContext};

    use super::*;
    use crate::media::Codec;
    use crate::media::rtp::Sender;

    /// A leg and the socket of its relay.
    async fn connected() -> (Leg, UdpSocket) {
        let relay = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = relay.local_addr().unwrap();
        socket.connect(address).await.unwrap();
        relay.connect(socket.local_addr().unwrap()).await.unwrap();
        let relay_address = ClientAddr::new(address);
        let credentials = LegCredentials::generate(&mut OsRng);
        (Leg { socket, relay: relay_address, credentials, mapped: relay_address }, relay)
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_does_not_answer_is_given_up_after_its_time() {
        let (mut leg, _relay) = connected().await;
        let began = Instant::now();
        let failed = leg.prove().await.unwrap_err();
        assert!(failed.to_string().contains("does not answer"), "{failed}");
        assert_eq!(began.elapsed().as_secs(), BIND_WITHIN.as_secs());
    }

    #[tokio::test]
    async fn a_datagram_over_the_limit_is_cut_and_no_packet_any_more() {
        let (leg, relay) = connected().await;
        let profile = Profile::ALL[0];
        let key = MasterKey::new(profile, &vec![7; profile.key_len()], &[9; 12]);
        let mut sender = Sender::new(Codec::Mulaw, &mut OsRng);
        let overhead = {
            let mut packet = sender.packet(&[0; 160]);
            SrtpContext::new(&key).unwrap().protect(&mut packet).unwrap();
            packet.len() - 160
        };
        for (length, taken) in [(DATAGRAM_MAX, true), (DATAGRAM_MAX + 1, false)] {
            let mut packet = sender.packet(&vec![1; length - overhead]);
            SrtpContext::new(&key).unwrap().protect(&mut packet).unwrap();
            assert_eq!(packet.len(), length);
            relay.send(&packet).await.unwrap();
            let mut buffer = vec![0; DATAGRAM_MAX];
            let received = leg.receive(&mut buffer).await.unwrap();
            assert_eq!(received, DATAGRAM_MAX);
            assert_eq!(leg.sort(&buffer).await, Datagram::Rtp);
            let opened = SrtpContext::new(&key).unwrap().unprotect(&mut buffer);
            assert_eq!(opened.is_ok(), taken, "{length} bytes");
        }
    }
}
