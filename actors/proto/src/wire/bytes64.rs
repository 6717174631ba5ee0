//! Binary values on the JSON wire.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, written as standard base64 with padding (RFC 4648 §4).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes64(pub Vec<u8>);

/// Bytes shown of a longer value.
const SHOWN: usize = 24;

/// The beginning and the length: offers and messages would fill the log.
impl fmt::Debug for Bytes64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        let more = if shown.len() < self.0.len() { "…" } else { "" };
        write!(f, "Bytes64({}{more}, {} bytes)", Base64Display::new(shown, &STANDARD), self.0.len())
    }
}

impl Serialize for Bytes64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Bytes64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor)
    }
}

/// Decodes straight from the frame's text: a 64 KiB body is never copied as text.
struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Bytes64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard base64 with padding")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes64, E> {
        STANDARD
            .decode(text)
            .map(Bytes64)
            .map_err(|_| E::custom("expected standard base64 with padding"))
    }
}

impl JsonSchema for Bytes64 {
    fn schema_name() -> Cow<'static, str> {
        "Bytes64".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64" })
    }
}
