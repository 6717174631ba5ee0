//! Records: how they lie in a segment.
//!
//! ```text
//! 0  u32 length of the payload        16 u64 every record up to here was durable when written
//! 4  u32 crc32c of all that follows   24 u16 group   26 u8 kind   27 u8 version   28 u32 zero
//! 8  u64 sequence number              32 payload, padded with zeros to a multiple of 8
//! ```
//! The *durable* number tells a torn tail from damage: bytes that a later, intact record calls
//! durable were synced, so they must be intact too.

/// Length of a record's header.
pub(super) const HEADER: usize = 32;
/// Longest payload. A batch is far smaller; this bounds what a damaged length can claim.
pub(super) const PAYLOAD_MAX: usize = 8 * 1024 * 1024;
/// Version of the record layout.
const VERSION: u8 = 1;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The group's vote; opaque payload.
    Vote,
    /// One entry: its mark, then opaque bytes.
    Append,
    /// Entries from this index on are void.
    Truncate,
    /// Entries up to this mark are gone.
    Purge,
    /// The group's committed mark; opaque payload.
    Committed,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Vote => 1,
            Self::Append => 2,
            Self::Truncate => 3,
            Self::Purge => 4,
            Self::Committed => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Vote, Self::Append, Self::Truncate, Self::Purge, Self::Committed]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) seq: u64,
    pub(super) durable: u64,
    pub(super) group: u16,
    pub(super) kind: Kind,
    pub(super) payload: &'a [u8],
    /// Length in the segment, padding included.
    pub(super) stored: usize,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRecord {
    /// Too short, implausible length, or a checksum that does not match.
    Invalid,
    /// Intact, but of a layout this program does not know.
    Version(u8),
}

/// Length of a record with this payload in the segment.
pub(super) fn stored_len(payload: usize) -> usize {
    HEADER + payload.next_multiple_of(8)
}

/// Appends a record to `out`. The payload comes in parts to spare a copy.
pub(super) fn encode(
    out: &mut Vec<u8>,
    seq: u64,
    durable: u64,
    group: u16,
    kind: Kind,
    parts: &[&[u8]],
) {
    let start = out.len();
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&durable.to_le_bytes());
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(&[kind.code(), VERSION, 0, 0, 0, 0]);
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + stored_len(length), 0);
}

/// Reads the record at the start of `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<Record<'_>, NotRecord> {
    let header = bytes.get(..HEADER).ok_or(NotRecord::Invalid)?;
    let length = u32_at(header, 0) as usize;
    if length > PAYLOAD_MAX {
        return Err(NotRecord::Invalid);
    }
    let covered = bytes.get(8..HEADER + length).ok_or(NotRecord::Invalid)?;
    // Numbers begin at 1, and every number that is given has a next one.
    let numbered = (1..u64::MAX).contains(&u64_at(header, 8));
    if crc32c::crc32c(covered) != u32_at(header, 4) || !numbered {
        return Err(NotRecord::Invalid);
    }
    if header[27] != VERSION {
        return Err(NotRecord::Version(header[27]));
    }
    let kind = Kind::from_code(header[26]).ok_or(NotRecord::Version(header[26]))?;
    Ok(Record {
        seq: u64_at(header, 8),
        durable: u64_at(header, 16),
        group: u16::from_le_bytes([header[24], header[25]]),
        kind,
        payload: &covered[HEADER - 8..],
        stored: stored_len(length),
    })
}

/// The sequence number that the bytes claim, unchecked: a cheap filter before checking.
pub(super) fn claimed_seq(bytes: &[u8]) -> u64 {
    bytes.get(..HEADER).map_or(0, |header| u64_at(header, 8))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}
