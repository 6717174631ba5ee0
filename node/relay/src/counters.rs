//! Counters of the data plane: single-writer cells on the threads, summed when somebody asks.

/// Sums over all threads since the start (C-207…C-219) and why packets were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayCounters {
    /// Media packets per relay type, in the order of [`crate::RelayType::ALL`].
    pub types: [TypeCounters; 5],
    /// All packets sent, STUN included.
    pub sent: u64,
    /// Bytes of their UDP payload.
    pub sent_bytes: u64,
    /// Media that found no bound peer leg (`errorNoDest`).
    pub sent_no_dest: u64,
    /// Packets the kernel refused to send (`error`).
    pub sent_error: u64,
    /// All packets received.
    pub received: u64,
    /// Bytes of their UDP payload.
    pub received_bytes: u64,
    /// Shorter than 8 bytes (`errorTooShort`).
    pub received_too_short: u64,
    /// Longer than 1500 bytes (`errorTooLong`).
    pub received_too_long: u64,
    /// Media from an address that is no leg's proved address: dropped without an answer.
    pub dropped_unknown: u64,
    /// Packets whose first byte or framing does not fit the leg.
    pub dropped_foreign: u64,
    /// Packets over a leg's rate cap.
    pub dropped_rate: u64,
    /// STUN that named no leg or did not authenticate: dropped without an answer.
    pub stun_refused: u64,
    /// STUN messages accepted.
    pub stun_accepted: u64,
    /// Legs refused because another leg already has their address.
    pub address_taken: u64,
    /// Times a bounded ring between threads or to the control side was full.
    pub ring_full: u64,
}

/// One relay type's row of `show relay`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TypeCounters {
    /// Received media packets (C-208).
    pub rx: u64,
    /// Their bytes (C-209).
    pub rx_bytes: u64,
    /// Forwarded media packets (C-210).
    pub tx: u64,
    /// Their bytes (C-211).
    pub tx_bytes: u64,
}

/// Counters of one leg since it was allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegCounters {
    /// Media packets received from this leg's client.
    pub rx: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Of those, packets forwarded to the other leg.
    pub forwarded: u64,
    /// Their bytes.
    pub forwarded_bytes: u64,
    /// When the last media packet came, in microseconds of the relay's clock; 0 is never.
    pub last_media_micros: u64,
}
