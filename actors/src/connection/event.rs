//! Events that other parts of the node ask a connection to send.

use crs_proto::wire::call::CallState;
use crs_proto::wire::keys::Offers;
use crs_proto::wire::message::{AckedEvent, New};

/// An event for one client. The connection stamps its sequence number and encodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// `call.state`.
    CallState(Box<CallState>),
    /// An item was committed to the user's mailbox; becomes `msg.new` unless the client knows
    /// already that there is something to fetch.
    MessageNew(New),
    /// `msg.acked`.
    MessageAcked(AckedEvent),
    /// `upd.offer`.
    Offers(Offers),
}
