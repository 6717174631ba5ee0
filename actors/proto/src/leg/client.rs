//! The client's side of a leg: bind it and answer the relay's checks.

use crs_types::{ClientAddr, Rng};

use super::credentials::LegCredentials;
use super::stun::{Class, Integrity, Message, StunPacket, TransactionId};

/// A random transaction id.
pub fn transaction_id(rng: &mut dyn Rng) -> TransactionId {
    let mut id = [0; 12];
    rng.fill(&mut id);
    TransactionId(id)
}

/// The Binding request that binds the leg to the address it is sent from. Repeat it with the same
/// id after 500 ms, doubling (RFC 8489 §6.2.1), until [`accepted`] says yes.
pub fn binding_request(credentials: &LegCredentials, id: TransactionId) -> StunPacket {
    StunPacket::request(id, credentials, Integrity::Sha256, true)
}

/// The answer to a packet from the relay at `relay`, when it is a check of this leg.
pub fn answer_check(
    credentials: &LegCredentials,
    packet: &[u8],
    relay: ClientAddr,
) -> Option<StunPacket> {
    let message = Message::parse(packet)?;
    if message.class != Class::Request || message.username != Some(credentials.ufrag()) {
        return None;
    }
    let integrity = message.authenticate(credentials)?;
    Some(StunPacket::success(message.id, relay, credentials, integrity, message.fingerprint))
}

/// This client's address as the relay sees it, when the packet is the success response to the
/// request `id`: the leg is bound.
pub fn accepted(
    credentials: &LegCredentials,
    packet: &[u8],
    id: TransactionId,
) -> Option<ClientAddr> {
    let message = Message::parse(packet)?;
    if message.class != Class::Success || message.id != id {
        return None;
    }
    message.authenticate(credentials)?;
    message.mapped.map(ClientAddr::new)
}
