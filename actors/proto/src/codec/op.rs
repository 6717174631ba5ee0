//! The operations and events of `crs.v1` as types.

use crate::wire::{call, keys, life, lookup, message, relay};

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every op, in the order of docs/protocol.md.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The op of that name, if this server knows it.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

names! {
    /// Name of an op.
    OpName {
        /// Registers.
        Attach = "attach",
        /// Ends the registration.
        Detach = "detach",
        /// Ends the connection.
        Bye = "bye",
        /// Server time.
        Time = "time",
        /// A user's keys.
        Lookup = "lookup",
        /// Starts a call.
        Invite = "call.invite",
        /// This device rings.
        Ringing = "call.ringing",
        /// Takes a call.
        Answer = "call.answer",
        /// Ends a call.
        Hangup = "call.hangup",
        /// Posts a message.
        Post = "msg.post",
        /// Reads the mailbox.
        Fetch = "msg.fetch",
        /// Confirms receipt.
        Ack = "msg.ack",
        /// Asks for a relay leg.
        Alloc = "relay.alloc",
        /// Keeps a leg.
        Refresh = "relay.refresh",
        /// Gives a leg back.
        Free = "relay.free",
        /// Fetches a month's keys.
        UpdateGet = "upd.get",
        /// Confirms a month's keys.
        UpdateConfirm = "upd.confirm",
    }
}

/// A parsed and checked operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// `attach`
    Attach(life::Attach),
    /// `detach`
    Detach(life::Detach),
    /// `bye`
    Bye(life::Bye),
    /// `time`
    Time(life::TimeRequest),
    /// `lookup`
    Lookup(lookup::Lookup),
    /// `call.invite`
    Invite(call::Invite),
    /// `call.ringing`
    Ringing(call::Ringing),
    /// `call.answer`
    Answer(call::Answer),
    /// `call.hangup`
    Hangup(call::Hangup),
    /// `msg.post`
    Post(message::Post),
    /// `msg.fetch`
    Fetch(message::Fetch),
    /// `msg.ack`
    Ack(message::Ack),
    /// `relay.alloc`
    Alloc(relay::Alloc),
    /// `relay.refresh`
    Refresh(relay::Refresh),
    /// `relay.free`
    Free(relay::Free),
    /// `upd.get`
    UpdateGet(keys::UpdateGet),
    /// `upd.confirm`
    UpdateConfirm(keys::UpdateConfirm),
}

impl Op {
    /// The op's name.
    pub const fn name(&self) -> OpName {
        match self {
            Self::Attach(_) => OpName::Attach,
            Self::Detach(_) => OpName::Detach,
            Self::Bye(_) => OpName::Bye,
            Self::Time(_) => OpName::Time,
            Self::Lookup(_) => OpName::Lookup,
            Self::Invite(_) => OpName::Invite,
            Self::Ringing(_) => OpName::Ringing,
            Self::Answer(_) => OpName::Answer,
            Self::Hangup(_) => OpName::Hangup,
            Self::Post(_) => OpName::Post,
            Self::Fetch(_) => OpName::Fetch,
            Self::Ack(_) => OpName::Ack,
            Self::Alloc(_) => OpName::Alloc,
            Self::Refresh(_) => OpName::Refresh,
            Self::Free(_) => OpName::Free,
            Self::UpdateGet(_) => OpName::UpdateGet,
            Self::UpdateConfirm(_) => OpName::UpdateConfirm,
        }
    }
}

/// An event of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `welcome`
    Welcome(Box<life::Welcome>),
    /// `unregistered`
    Unregistered(life::Unregistered),
    /// `call.state`
    CallState(Box<call::CallState>),
    /// `msg.new`
    MessageNew(message::New),
    /// `msg.acked`
    MessageAcked(message::AckedEvent),
    /// `upd.offer`
    UpdateOffer(keys::Offers),
}

impl Event {
    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Unregistered(_) => "unregistered",
            Self::CallState(_) => "call.state",
            Self::MessageNew(_) => "msg.new",
            Self::MessageAcked(_) => "msg.acked",
            Self::UpdateOffer(_) => "upd.offer",
        }
    }
}
