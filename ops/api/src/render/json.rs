//! JSON: the columns that the flags show, in their order.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Options;
use crate::view::{Body, Column, Section, View};

pub(super) fn render(view: &View, options: &Options) -> String {
    let printed = match view {
        View::One(section) => serde_json::to_string(&Part { section, verbose: options.verbose }),
        View::Many(sections) => {
            serde_json::to_string(&Parts { sections, verbose: options.verbose })
        }
    };
    // Maps with text keys and plain values always serialise.
    printed.map_or_else(|_| String::new(), |text| text + "\n")
}

struct Parts<'a> {
    sections: &'a [Section],
    verbose: bool,
}

struct Part<'a> {
    section: &'a Section,
    verbose: bool,
}

struct Object<'a> {
    row: &'a Map<String, Value>,
    columns: &'a [Column],
}

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.sections.len()))?;
        for section in self.sections {
            map.serialize_entry(section.key, &Part { section, verbose: self.verbose })?;
        }
        map.end()
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.section.visible(self.verbose);
        match &self.section.body {
            Body::Rows(rows) => {
                let mut seq = serializer.serialize_seq(Some(rows.len()))?;
                for row in rows {
                    seq.serialize_element(&Object { row, columns: &columns })?;
                }
                seq.end()
            }
            Body::Record(row) => Object { row, columns: &columns }.serialize(serializer),
            Body::Text(text) => text.serialize(serializer),
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for column in self.columns {
            map.serialize_entry(column.key, self.row.get(column.key).unwrap_or(&Value::Null))?;
        }
        map.end()
    }
}
