//! The JSON Schema of `crs.v1` (2020-12), generated from the wire types:
//! docs/protocol.schema.json.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::codec::OpName;
use crate::wire::{ErrorBody, call, keys, life, lookup, message, relay};

/// The schema of all frames. `$defs` holds `request.<op>`, `reply.<op>` and `event.<name>`;
/// the root accepts any frame of either side.
pub fn document() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut frames = Map::new();
    for op in OpName::ALL {
        let name = op.as_str();
        let (request, reply) = schemas(*op, &mut generator);
        let head = json!({ "id": integer(), "op": { "const": name } });
        frames.insert(format!("request.{name}"), frame(head, &["id", "op"], request));
        let head = json!({ "re": integer(), "ok": { "const": true } });
        frames.insert(format!("reply.{name}"), frame(head, &["re", "ok"], reply));
    }
    let failed = json!({ "type": "object", "required": ["err"],
        "properties": { "err": generator.subschema_for::<ErrorBody>() } });
    let head = json!({ "re": { "type": ["integer", "null"] }, "ok": { "const": false } });
    frames.insert("reply.error".into(), frame(head, &["re", "ok"], Some(failed)));
    for (name, schema) in events(&mut generator) {
        let head = json!({ "ev": { "const": name }, "seq": integer() });
        frames.insert(format!("event.{name}"), frame(head, &["ev", "seq"], schema));
    }
    let any: Vec<Value> =
        frames.keys().map(|name| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    let mut definitions = generator.take_definitions(true);
    definitions.append(&mut frames);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "crs.v1",
        "description": "Frames of the client protocol; docs/protocol.md is the normative text.",
        "anyOf": any,
        "$defs": definitions,
    })
}

/// The document as it is stored.
pub fn text() -> String {
    format!("{:#}\n", document())
}

fn schemas(op: OpName, generator: &mut SchemaGenerator) -> (Option<Value>, Option<Value>) {
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Value> {
        Some(generator.subschema_for::<T>().to_value())
    }
    let g = generator;
    match op {
        OpName::Attach => (of::<life::Attach>(g), of::<life::Attached>(g)),
        OpName::Detach => (of::<life::Detach>(g), None),
        OpName::Bye => (of::<life::Bye>(g), None),
        OpName::Time => (of::<life::TimeRequest>(g), of::<life::TimeReply>(g)),
        OpName::Lookup => (of::<lookup::Lookup>(g), of::<lookup::Found>(g)),
        OpName::Invite => (of::<call::Invite>(g), of::<call::CallState>(g)),
        OpName::Ringing => (of::<call::Ringing>(g), of::<call::CallState>(g)),
        OpName::Answer => (of::<call::Answer>(g), of::<call::CallState>(g)),
        OpName::Hangup => (of::<call::Hangup>(g), of::<call::CallState>(g)),
        OpName::Post => (of::<message::Post>(g), of::<message::Posted>(g)),
        OpName::Fetch => (of::<message::Fetch>(g), of::<message::Fetched>(g)),
        OpName::Ack => (of::<message::Ack>(g), of::<message::Acked>(g)),
        OpName::Alloc => (of::<relay::Alloc>(g), of::<relay::Leg>(g)),
        OpName::Refresh => (of::<relay::Refresh>(g), of::<relay::Leg>(g)),
        OpName::Free => (of::<relay::Free>(g), None),
        OpName::UpdateGet => (of::<keys::UpdateGet>(g), of::<keys::UpdatePackage>(g)),
        OpName::UpdateConfirm => (of::<keys::UpdateConfirm>(g), None),
    }
}

fn events(generator: &mut SchemaGenerator) -> [(&'static str, Option<Value>); 6] {
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Value> {
        Some(generator.subschema_for::<T>().to_value())
    }
    let g = generator;
    [
        ("welcome", of::<life::Welcome>(g)),
        ("unregistered", of::<life::Unregistered>(g)),
        ("call.state", of::<call::CallState>(g)),
        ("msg.new", of::<message::New>(g)),
        ("msg.acked", of::<message::AckedEvent>(g)),
        ("upd.offer", of::<keys::Offers>(g)),
    ]
}

fn frame(properties: Value, required: &[&str], fields: Option<Value>) -> Value {
    let mut frame = json!({ "type": "object", "properties": properties, "required": required });
    if let (Some(fields), Some(map)) = (fields, frame.as_object_mut()) {
        map.insert("allOf".into(), json!([fields]));
    }
    frame
}

fn integer() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": crs_types::limits::WIRE_INTEGER_MAX })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Rewrites the file when asked to: `CRS_UPDATE_SCHEMA=1 cargo nextest run -p crs-proto schema`.
    #[test]
    fn the_stored_schema_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.schema.json");
        if std::env::var_os("CRS_UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, super::text()).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        // As values: the order of keys depends on features that other crates may switch on.
        let stored: Option<serde_json::Value> = serde_json::from_str(&stored).ok();
        assert!(
            stored == Some(super::document()),
            "docs/protocol.schema.json is stale: run the test again with CRS_UPDATE_SCHEMA=1"
        );
    }

    /// Schemas that refer to each other only by names that exist.
    #[test]
    fn every_reference_resolves() {
        let document = super::document();
        let text = document.to_string();
        let definitions = document["$defs"].as_object().unwrap();
        let mut references = 0;
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
            references += 1;
        }
        assert!(references > 40, "{references}");
    }
}
