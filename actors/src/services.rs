//! The services a connection calls, as small interfaces: sessions and relay legs, messages, key
//! updates. The tree joins them to their makers; tests join them to fakes.

use crs_proto::delivery::Page;
use crs_proto::wire::ErrorBody;
use crs_proto::wire::call::{Answer, CallState, Hangup, Invite, Ringing};
use crs_proto::wire::life::{ClientInfo, Role};
use crs_proto::wire::message::{Ack, Acked, Fetched, Post, Posted};
use crs_proto::wire::relay::{Alloc, Free, Leg, Refresh};
use crs_types::{AccountId, ClientAddr, DeviceId, Period, SessionId, Uri};
use futures_util::future::BoxFuture;

use crate::connection::ConnectionHandle;

/// An answer under way. It always ends: services bound their own waiting.
pub type Answering<T> = BoxFuture<'static, Result<T, ErrorBody>>;

/// Who asks: the registration a request came over.
#[derive(Debug, Clone)]
pub struct Party {
    /// The user's account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
    /// The device.
    pub device: DeviceId,
    /// Primary or secondary.
    pub role: Role,
    /// Client address of the TLS connection.
    pub addr: ClientAddr,
    /// The connection, for events.
    pub connection: ConnectionHandle,
}

/// A request about a session or its relay.
#[derive(Debug, Clone)]
pub enum SessionRequest {
    /// `call.invite`.
    Invite(Invite),
    /// `call.ringing`.
    Ringing(Ringing),
    /// `call.answer`.
    Answer(Answer),
    /// `call.hangup`.
    Hangup(Hangup),
    /// `relay.alloc`.
    RelayAlloc(Alloc),
    /// `relay.refresh`.
    RelayRefresh(Refresh),
    /// `relay.free`.
    RelayFree(Free),
}

/// The answer to a [`SessionRequest`].
#[derive(Debug, Clone)]
pub enum SessionReply {
    /// To the `call.*` requests.
    State(Box<CallState>),
    /// To `relay.alloc` and `relay.refresh`.
    Leg(Leg),
    /// To `relay.free`.
    Freed,
}

/// Sessions of this node (crs_actors::session).
pub trait Sessions: Send + Sync {
    /// Carries out a request of an attached client.
    fn request(&self, from: Party, request: SessionRequest) -> Answering<SessionReply>;
    /// A client has attached: which of the sessions it names (and of those that ring for it) it
    /// is in, as they stand now. Its connection gets their events from now on.
    fn attached(&self, party: Party, resume: Vec<SessionId>) -> Answering<Vec<CallState>>;
    /// A registration has ended; `party.connection` tells which.
    fn detached(&self, party: Party);
}

/// Mailboxes (crs_actors::store). Every confirmation is durable before its future ends.
///
/// Implementations emit the `trace message` events of what they carried out, and tell attached
/// devices of new items: for each committed item `ConnectionHandle::news`, and `receipt` when it
/// is one, to every registration of its owner; the connection leaves out what its client has been
/// told already.
pub trait Mail: Send + Sync {
    /// Confirms a message. The receiver's account was resolved before. Posts of one connection to
    /// one receiver are begun in order.
    fn post(&self, from: Party, to_account: AccountId, post: Post) -> Answering<Posted>;
    /// A page of the user's mailbox, within all bounds that `page` names.
    fn fetch(&self, from: Party, page: Page) -> Answering<Fetched>;
    /// Deletes items and sends receipts.
    fn ack(&self, from: Party, ack: Ack) -> Answering<Acked>;
    /// What waits in the user's mailbox.
    fn waiting(&self, account: AccountId, uri: Uri) -> Answering<Waiting>;
}

/// What waits in a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages and receipts.
    pub items: u64,
    /// Arrival number of the newest item ever, 0 when there was none.
    pub newest: u64,
}

/// What users have been offered and have confirmed of their monthly keys (crs_actors::store).
/// Packages come from the update file's blob (`accounts::BlobReader`).
pub trait Updates: Send + Sync {
    /// Records durably that the user has confirmed a period's keys.
    fn confirm(&self, account: AccountId, uri: Uri, period: Period, serial: u64) -> Answering<()>;
    /// Records that these periods (with the serials of their files) were offered; best effort.
    fn offered(&self, account: AccountId, uri: Uri, periods: Vec<(Period, u64)>);
    /// The periods that the user has confirmed, with the serials of their files.
    fn confirmed(&self, account: AccountId, uri: Uri) -> Answering<Vec<(Period, u64)>>;
    /// Keeps what a device said about itself at attach (C-244…C-251); best effort.
    fn client_info(&self, account: AccountId, uri: Uri, device: DeviceId, info: ClientInfo);
}
