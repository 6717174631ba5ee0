//! First reading of a request: `id` and `op`, everything else skipped with a bounded depth.

use std::cell::Cell;
use std::fmt;

use crs_types::limits::WIRE_INTEGER_MAX;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::request::RequestId;

/// Deepest nesting of arrays and objects in a frame.
pub const DEPTH_MAX: usize = 16;

/// What every request has.
pub(super) struct Header {
    pub(super) id: RequestId,
    pub(super) op: String,
}

/// Why there is no header.
pub(super) enum HeaderError {
    /// Not JSON, not an object, too deep, or `id` or `op` is ill-typed.
    Json {
        id: Option<RequestId>,
        error: serde_json::Error,
    },
    NoId,
    NoOp {
        id: RequestId,
    },
}

pub(super) fn read(text: &str) -> Result<Header, HeaderError> {
    let id = Cell::new(None);
    let mut de = serde_json::Deserializer::from_str(text);
    let parsed = de.deserialize_map(HeaderVisitor { id: &id }).and_then(|op| de.end().map(|()| op));
    match (parsed, id.get()) {
        (Err(error), id) => Err(HeaderError::Json { id, error }),
        (Ok(_), None) => Err(HeaderError::NoId),
        (Ok(None), Some(id)) => Err(HeaderError::NoOp { id }),
        (Ok(Some(op)), Some(id)) => Ok(Header { id, op }),
    }
}

/// Keeps the id in a cell, so that it survives an error further on in the frame.
struct HeaderVisitor<'a> {
    id: &'a Cell<Option<RequestId>>,
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `id` and `op`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut op = None;
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Id if self.id.take().is_some() => {
                    return Err(A::Error::custom("duplicate field `id`"));
                }
                Key::Id => self.id.set(Some(read_id(map.next_value()?)?)),
                Key::Op if op.is_some() => return Err(A::Error::custom("duplicate field `op`")),
                Key::Op => op = Some(map.next_value()?),
                Key::Other => map.next_value_seed(Skip { depth: 1 })?,
            }
        }
        Ok(op)
    }
}

fn read_id<E: serde::de::Error>(value: u64) -> Result<RequestId, E> {
    if value > WIRE_INTEGER_MAX {
        return Err(E::custom("expected an integer of at most 2^53"));
    }
    Ok(RequestId(value))
}

enum Key {
    Id,
    Op,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "id" => Key::Id,
                    "op" => Key::Op,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Skips any value, no deeper than [`DEPTH_MAX`].
struct Skip {
    depth: usize,
}

impl Skip {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while seq.next_element_seed(Self { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while map.next_key::<Key>()?.is_some() {
            map.next_value_seed(Self { depth })?;
        }
        Ok(())
    }
}
