//! Newtypes for everything that is only a number or a byte string underneath.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_id!(
    /// A node of the pool, allocated from a committed log index and never reused.
    NodeId, u64
);
number_id!(
    /// A Raft group: 0 is *control*, 1…N are mailbox shards.
    GroupId, u16
);
number_id!(
    /// A client or admin connection, unique within one run of one node.
    ConnectionId, u64
);
number_id!(
    /// A relay resource, unique within one run of one node.
    AllocationId, u64
);
number_id!(
    /// One leg of a relay resource.
    LegId, u64
);
number_id!(
    /// Generation of a user's keys: raised when a device is lost or a user re-enrols. Only the
    /// generation named by the account's newest update file is accepted.
    Generation, u32
);

impl GroupId {
    /// Group 0: accounts, blacklist, updates and everything else that is pool-wide.
    pub const CONTROL: Self = Self(0);
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// A UUIDv7 (RFC 9562 §5.7) from a time and 10 random bytes.
            pub fn from_parts(now: crate::Timestamp, random: [u8; 10]) -> Self {
                let id = uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &random);
                Self(id.into_uuid().into_bytes())
            }

            /// The raw 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// From raw bytes, which must be a UUIDv7.
            pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, UuidError> {
                let id = uuid::Uuid::from_bytes(bytes);
                match (id.get_variant(), id.get_version_num()) {
                    (uuid::Variant::RFC4122, 7) => Ok(Self(bytes)),
                    (uuid::Variant::RFC4122, other) => Err(UuidError::Version(other)),
                    (_, _) => Err(UuidError::Form),
                }
            }

            /// The time in the id (milliseconds since the epoch), as its maker claims it.
            pub fn claimed_time(&self) -> crate::Timestamp {
                let mut millis = [0u8; 8];
                millis[2..].copy_from_slice(&self.0[..6]);
                crate::Timestamp::from_millis(u64::from_be_bytes(millis))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }

        impl FromStr for $name {
            type Err = UuidError;
            fn from_str(text: &str) -> Result<Self, UuidError> {
                // The parser also takes braces, a URN prefix and no hyphens.
                let hyphenated = Some(text).filter(|text| text.len() == HYPHENATED);
                let id = hyphenated.and_then(|text| uuid::Uuid::try_parse(text).ok());
                let id = id.ok_or(UuidError::Form)?;
                Self::from_bytes(id.into_bytes())
            }
        }

        impl TryFrom<String> for $name {
            type Error = UuidError;
            fn try_from(text: String) -> Result<Self, UuidError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

/// Length of the only form in which ids are written.
const HYPHENATED: usize = 36;

/// Why a text is not one of our UUIDv7 ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UuidError {
    /// Not a UUID of RFC 9562 in the hyphenated form.
    #[error("expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
    Form,
    /// A UUID of another version.
    #[error("expected a UUID of version 7, got version {0}")]
    Version(usize),
}

uuid_id!(
    /// A message, named by its sender. With account and sender it is the idempotency key.
    MessageId
);
uuid_id!(
    /// A session (call), named by the caller.
    SessionId
);

/// Longest device id in bytes.
pub const DEVICE_ID_MAX: usize = 64;

/// A device of a user: 1–64 characters of `A-Z a-z 0-9 - _ .`, chosen at enrolment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Arc<str>);

/// A text is not a device id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a device id has 1 to {DEVICE_ID_MAX} characters of A-Z a-z 0-9 - _ .")]
pub struct DeviceIdError;

impl DeviceId {
    /// Parses and checks an id.
    pub fn parse(text: &str) -> Result<Self, DeviceIdError> {
        let ok = (1..=DEVICE_ID_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if ok { Ok(Self(text.into())) } else { Err(DeviceIdError) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = DeviceIdError;
    fn try_from(text: String) -> Result<Self, DeviceIdError> {
        Self::parse(&text)
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// The operator's name of a node, as in `crsname` and `host` lines (C-089), 1–32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

/// A text is not a node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node name has 1 to 32 characters of A-Z a-z 0-9 - _ .")]
pub struct NodeNameError;

impl NodeName {
    /// Parses and checks a name.
    pub fn parse(text: &str) -> Result<Self, NodeNameError> {
        let ok = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if ok { Ok(Self(text.into())) } else { Err(NodeNameError) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;
    fn try_from(text: String) -> Result<Self, NodeNameError> {
        Self::parse(&text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// SHA-256 of a content-addressed file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobHash(pub [u8; 32]);

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn message_ids_are_uuid_v7_and_carry_their_time() {
        let id = MessageId::from_parts(Timestamp::from_millis(1_700_000_000_123), [7; 10]);
        assert_eq!(id.claimed_time().as_millis(), 1_700_000_000_123);
        assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        let v4 = "d9428888-122b-41e1-b85c-61f0b21b2c3f";
        assert_eq!(v4.parse::<MessageId>(), Err(UuidError::Version(4)));
        let written = id.to_string();
        for other in [
            "nonsense".to_owned(),
            written.replace('-', ""),
            format!("{{{written}}}"),
            format!("urn:uuid:{written}"),
            // Another variant than that of RFC 9562.
            format!("{}0{}", &written[..19], &written[20..]),
        ] {
            assert_eq!(other.parse::<MessageId>(), Err(UuidError::Form), "{other}");
        }
    }

    #[test]
    fn device_ids_are_checked() {
        assert!(DeviceId::parse("phone-1").is_ok());
        assert!(DeviceId::parse("").is_err());
        assert!(DeviceId::parse("a b").is_err());
        assert!(DeviceId::parse(&"d".repeat(65)).is_err());
    }
}
