//! Events that other parts of the node ask a connection to send.

use crs_proto::wire::call::CallState;
use crs_proto::wire::keys::Offers;
use crs_proto::wire::message::AckedEvent;

/// An event for one client. The connection stamps its sequence number and encodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// `call.state`.
    CallState(Box<CallState>),
    /// `msg.acked`; left out when much waits to be sent.
    MessageAcked(AckedEvent),
    /// `upd.offer`.
    Offers(Offers),
}
