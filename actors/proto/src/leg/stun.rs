//! The part of STUN that legs need (RFC 8489): Binding requests and success responses with
//! USERNAME, XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256, FINGERPRINT.
//!
//! Own code instead of a library: it must not allocate, must check integrity with the one
//! cryptographic provider of the workspace, and has to tell what was present.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::hmac;
use crs_types::ClientAddr;

use super::credentials::{LegCredentials, UFRAG_LENGTH};

/// Longest STUN packet that is looked at.
pub const REQUEST_MAX: usize = 548;
/// Longest packet that is made here.
pub const PACKET_MAX: usize = 96;

/// Identifies a STUN transaction (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// What can be told from a STUN packet before its leg is known. Nothing of it is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// A Binding request for the leg of this user name.
    Request {
        /// Key of the relay's table of legs.
        ufrag: [u8; UFRAG_LENGTH],
    },
    /// A success response to one of our checks: the hint given to `LegBinding::new`.
    Response {
        /// First four bytes of the transaction id.
        hint: u32,
    },
}

/// Tells which leg a STUN packet is for. `None`: drop it.
pub fn peek(packet: &[u8]) -> Option<Peek> {
    let message = Message::parse(packet)?;
    match message.class {
        Class::Request => {
            let ufrag = message.username?.try_into().ok()?;
            Some(Peek::Request { ufrag })
        }
        Class::Success => {
            let [a, b, c, d, ..] = message.id.0;
            Some(Peek::Response { hint: u32::from_be_bytes([a, b, c, d]) })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Success,
}

/// Which integrity attribute protects a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integrity {
    Sha1,
    Sha256,
}

impl Integrity {
    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    const fn attribute(self) -> u16 {
        match self {
            Self::Sha1 => MESSAGE_INTEGRITY,
            Self::Sha256 => MESSAGE_INTEGRITY_SHA256,
        }
    }

    fn key(self, credentials: &LegCredentials) -> hmac::Key {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        };
        hmac::Key::new(algorithm, credentials.key())
    }
}

/// A Binding request or success response, well-formed but not authenticated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) class: Class,
    pub(super) id: TransactionId,
    pub(super) username: Option<&'a [u8]>,
    pub(super) mapped: Option<SocketAddr>,
    /// A comprehension-required attribute that we do not know (RFC 8489 §6.3.1).
    pub(super) unknown_required: bool,
    pub(super) fingerprint: bool,
    integrity: Option<(Integrity, usize)>,
    packet: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn parse(packet: &'a [u8]) -> Option<Self> {
        if packet.len() > REQUEST_MAX {
            return None;
        }
        let (header, _) = packet.split_first_chunk::<HEADER>()?;
        let class = match be16(&header[0..2]) {
            BINDING_REQUEST => Class::Request,
            BINDING_SUCCESS => Class::Success,
            _ => return None,
        };
        let length = usize::from(be16(&header[2..4]));
        if header[4..8] != COOKIE || length % 4 != 0 || HEADER + length != packet.len() {
            return None;
        }
        let id = TransactionId(header[8..20].try_into().ok()?);
        let mut message = Self {
            class,
            id,
            username: None,
            mapped: None,
            unknown_required: false,
            fingerprint: false,
            integrity: None,
            packet,
        };
        message.read_attributes()?;
        Some(message)
    }

    fn read_attributes(&mut self) -> Option<()> {
        let mut at = HEADER;
        while at < self.packet.len() {
            // FINGERPRINT is the last attribute (RFC 8489 §14.7).
            if self.fingerprint {
                return None;
            }
            let head = self.packet.get(at..at + 4)?;
            let (kind, length) = (be16(&head[0..2]), usize::from(be16(&head[2..4])));
            let value = self.packet.get(at + 4..at + 4 + length)?;
            self.read_attribute(kind, value, at)?;
            at += 4 + length.next_multiple_of(4);
        }
        (at == self.packet.len()).then_some(())
    }

    fn read_attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Option<()> {
        match (kind, self.integrity) {
            (FINGERPRINT, _) => {
                let expected = crc32(self.packet.get(..at)?) ^ FINGERPRINT_XOR;
                self.fingerprint = value == expected.to_be_bytes();
                return self.fingerprint.then_some(());
            }
            // The stronger one counts when both are present (RFC 8489 §9.1.3).
            (MESSAGE_INTEGRITY_SHA256, None | Some((Integrity::Sha1, _))) => {
                self.integrity = Some((Integrity::Sha256, at));
                return (value.len() == Integrity::Sha256.length()).then_some(());
            }
            // What follows the integrity is not protected by it and ignored.
            (_, Some(_)) => {}
            (MESSAGE_INTEGRITY, None) => {
                self.integrity = Some((Integrity::Sha1, at));
                return (value.len() == Integrity::Sha1.length()).then_some(());
            }
            (USERNAME, None) => self.username = self.username.or(Some(value)),
            (XOR_MAPPED_ADDRESS, None) => self.mapped = read_xor_address(value, &self.id),
            // ICE agents send these; they change nothing here.
            (PRIORITY | USE_CANDIDATE, None) => {}
            (other, None) => self.unknown_required |= other < 0x8000,
        }
        Some(())
    }

    /// Which integrity attribute is there and right for these credentials, compared in constant
    /// time.
    pub(super) fn authenticate(&self, credentials: &LegCredentials) -> Option<Integrity> {
        let (integrity, at) = self.integrity?;
        let tag = self.packet.get(at + 4..at + 4 + integrity.length())?;
        let computed = sign(integrity, credentials, self.packet.get(..at)?)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(computed.as_ref(), tag).ok()?;
        Some(integrity)
    }
}

/// HMAC over the message before its integrity attribute, with the header's length reaching to the
/// end of that attribute (RFC 8489 §14.5).
fn sign(integrity: Integrity, credentials: &LegCredentials, before: &[u8]) -> Option<hmac::Tag> {
    let (header, attributes) = before.split_first_chunk::<HEADER>()?;
    let mut header = *header;
    let length = u16::try_from(attributes.len() + 4 + integrity.length()).ok()?;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    let mut context = hmac::Context::with_key(&integrity.key(credentials));
    context.update(&header);
    context.update(attributes);
    Some(context.sign())
}

/// A STUN packet made here, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StunPacket {
    bytes: [u8; PACKET_MAX],
    length: u8,
}

impl StunPacket {
    /// The datagram.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// A Binding request with the leg's USERNAME.
    pub(super) fn request(
        id: TransactionId,
        credentials: &LegCredentials,
        integrity: Integrity,
        fingerprint: bool,
    ) -> Self {
        let mut packet = Self::new(BINDING_REQUEST, id);
        packet.attribute(USERNAME, credentials.ufrag());
        packet.finish(credentials, integrity, fingerprint);
        packet
    }

    /// A Binding success response that tells `mapped`.
    pub(super) fn success(
        id: TransactionId,
        mapped: ClientAddr,
        credentials: &LegCredentials,
        integrity: Integrity,
        fingerprint: bool,
    ) -> Self {
        let mut packet = Self::new(BINDING_SUCCESS, id);
        let mut value = [0u8; 20];
        let length = write_xor_address(mapped.socket(), &id, &mut value);
        packet.attribute(XOR_MAPPED_ADDRESS, &value[..length]);
        packet.finish(credentials, integrity, fingerprint);
        packet
    }

    fn new(kind: u16, id: TransactionId) -> Self {
        let mut packet = Self { bytes: [0; PACKET_MAX], length: 0 };
        packet.push(&kind.to_be_bytes());
        packet.push(&[0, 0]);
        packet.push(&COOKIE);
        packet.push(&id.0);
        packet
    }

    /// The largest packets, a request with SHA-256 and FINGERPRINT and a response to an IPv6
    /// address, have 92 and 88 bytes; all values have lengths that are multiples of four.
    fn push(&mut self, bytes: &[u8]) {
        let from = usize::from(self.length);
        self.bytes[from..from + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u8;
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.push(&kind.to_be_bytes());
        self.push(&(value.len() as u16).to_be_bytes());
        self.push(value);
        self.write_length(0);
    }

    fn write_length(&mut self, more: usize) {
        let length = (usize::from(self.length) - HEADER + more) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }

    fn finish(&mut self, credentials: &LegCredentials, integrity: Integrity, fingerprint: bool) {
        if let Some(tag) = sign(integrity, credentials, self.as_bytes()) {
            self.attribute(integrity.attribute(), tag.as_ref());
        }
        if fingerprint {
            self.write_length(8);
            let crc = crc32(self.as_bytes()) ^ FINGERPRINT_XOR;
            self.attribute(FINGERPRINT, &crc.to_be_bytes());
        }
    }
}

impl std::fmt::Debug for StunPacket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StunPacket({} bytes)", self.length)
    }
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.iter().take(2).fold(0, |value, byte| value << 8 | u16::from(*byte))
}

/// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
fn write_xor_address(addr: SocketAddr, id: &TransactionId, out: &mut [u8; 20]) -> usize {
    let pad = xor_pad(id);
    let port = addr.port().to_be_bytes();
    out[2] = port[0] ^ pad[0];
    out[3] = port[1] ^ pad[1];
    let mut put = |family: u8, octets: &[u8]| {
        out[1] = family;
        for (at, octet) in octets.iter().enumerate() {
            out[4 + at] = octet ^ pad[at];
        }
        4 + octets.len()
    };
    match addr.ip() {
        IpAddr::V4(ip) => put(1, &ip.octets()),
        IpAddr::V6(ip) => put(2, &ip.octets()),
    }
}

fn read_xor_address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let pad = xor_pad(id);
    let (head, address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([head[2] ^ pad[0], head[3] ^ pad[1]]);
    let mut octets = [0u8; 16];
    // A longer one is refused below; anybody may send it.
    for ((octet, byte), pad) in octets.iter_mut().zip(address).zip(pad) {
        *octet = byte ^ pad;
    }
    let ip = match (head[1], address.len()) {
        (1, 4) => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
        (2, 16) => IpAddr::V6(Ipv6Addr::from(octets)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn xor_pad(id: &TransactionId) -> [u8; 16] {
    let mut pad = [0u8; 16];
    pad[..4].copy_from_slice(&COOKIE);
    pad[4..].copy_from_slice(&id.0);
    pad
}

/// CRC-32 of ITU-T V.42 (RFC 8489 §14.7).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}
