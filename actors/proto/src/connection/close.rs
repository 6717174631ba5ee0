//! Why and how the server closes a WebSocket (RFC 6455 §7.4, docs/protocol.md *Close codes*).

/// A close frame. Its reason text is the word that docs/protocol.md lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// After `bye`, or after the client closed.
    Bye,
    /// The node stops or drains.
    GoingAway,
    /// The client violated RFC 6455.
    Protocol,
    /// A binary frame: `crs.v1` uses text frames.
    Binary,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// A frame beyond the limit.
    TooBig,
    /// Requests were refused too often: rates, in-flight limit, malformed frames.
    Flood,
    /// Posts to too many receivers have failed: reconnect and repeat the outbox in order.
    TooManyFailed,
    /// The client did not answer a keep-alive ping.
    KeepaliveTimeout,
    /// `crs-cli purge`.
    Purged,
    /// The operator blocked the user, or the account is gone.
    Denied,
}

impl Close {
    /// The status code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Bye => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Binary => 1003,
            Self::NotUtf8 => 1007,
            Self::Flood | Self::Denied => 1008,
            Self::TooBig => 1009,
            Self::TooManyFailed => 1013,
            Self::KeepaliveTimeout => 4000,
            Self::Purged => 4001,
        }
    }

    /// The reason text.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::GoingAway => "going-away",
            Self::Protocol => "protocol-error",
            Self::Binary => "text-frames-only",
            Self::NotUtf8 => "not-utf-8",
            Self::TooBig => "too-large",
            Self::Flood => "flood",
            Self::TooManyFailed => "too-many-failed-posts",
            Self::KeepaliveTimeout => "keepalive-timeout",
            Self::Purged => "purged",
            Self::Denied => "denied",
        }
    }
}
