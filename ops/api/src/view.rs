//! The one shape that table, JSON and TSV are printed from: sections of rows with columns.

use serde::Serialize;
use serde_json::{Map, Value};

/// A column: its JSON key, its heading, and when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Key in JSON.
    pub key: &'static str,
    /// Heading in tables and TSV, as the manuals print it.
    pub title: &'static str,
    /// Shown only with `--verbose`, in every format alike.
    pub verbose: bool,
}

/// A type whose values are rows of a table.
pub trait Row: Serialize {
    /// Its columns in printing order; the keys are the type's JSON keys.
    const COLUMNS: &'static [Column];
}

/// What is in a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Many rows: an array in JSON.
    Rows(Vec<Map<String, Value>>),
    /// One record: an object in JSON, `heading: value` lines in a table.
    Record(Map<String, Value>),
    /// One line of text: a string in JSON, null when absent.
    Text(Option<String>),
}

/// One part of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Key in JSON when the view has several sections.
    pub key: &'static str,
    /// Line above it in tables, when the view has several sections.
    pub title: &'static str,
    /// Columns in printing order.
    pub columns: &'static [Column],
    /// The content.
    pub body: Body,
}

/// Everything one reply prints.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// A single section: in JSON an array or an object by itself.
    One(Section),
    /// Several sections: in JSON an object with one key for each.
    Many(Vec<Section>),
}

/// A reply that can be printed.
pub trait Render {
    /// The view of this value.
    fn view(&self) -> View;
}

impl Section {
    /// A section of rows.
    pub fn rows<R: Row>(key: &'static str, title: &'static str, rows: &[R]) -> Self {
        let rows = rows.iter().map(object).collect();
        Self { key, title, columns: R::COLUMNS, body: Body::Rows(rows) }
    }

    /// A section of one record.
    pub fn record<R: Row>(key: &'static str, title: &'static str, record: &R) -> Self {
        Self { key, title, columns: R::COLUMNS, body: Body::Record(object(record)) }
    }

    /// A section of one line.
    pub fn text(key: &'static str, title: &'static str, text: Option<String>) -> Self {
        Self { key, title, columns: &[], body: Body::Text(text) }
    }

    /// The columns shown with these flags.
    pub fn visible(&self, verbose: bool) -> Vec<Column> {
        self.columns.iter().copied().filter(|c| verbose || !c.verbose).collect()
    }
}

impl View {
    /// The sections in order.
    pub fn sections(&self) -> &[Section] {
        match self {
            Self::One(section) => std::slice::from_ref(section),
            Self::Many(sections) => sections,
        }
    }
}

impl<R: Row> Render for Vec<R> {
    fn view(&self) -> View {
        View::One(Section::rows("rows", "", self))
    }
}

/// Rows serialise to objects by construction of [`row!`](crate::row); anything else prints empty.
fn object<R: Row>(row: &R) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// Declares a row type: its fields, JSON keys and headings in one place.
///
/// `field: Type => "HEADING"` is always shown, `=> verbose "HEADING"` only with `--verbose`;
/// `field as "key"` gives the JSON key where the field cannot bear its name.
#[macro_export]
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $(
        $(#[$doc:meta])* $field:ident $(as $key:literal)? : $ty:ty => $($flag:ident)? $title:literal
    ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        $vis struct $name { $($(#[$doc])* $(#[serde(rename = $key)])? $vis $field: $ty,)* }

        impl $crate::view::Row for $name {
            const COLUMNS: &'static [$crate::view::Column] = &[$($crate::view::Column {
                key: $crate::row!(@key $field $($key)?),
                title: $title,
                verbose: $crate::row!(@verbose $($flag)?),
            },)*];
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@verbose) => { false };
    (@verbose verbose) => { true };
}

/// Declares a row type that is the whole reply: printed as one record.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($rest:tt)* }) => {
        $crate::row! { $(#[$meta])* $vis struct $name { $($rest)* } }

        impl $crate::view::Render for $name {
            fn view(&self) -> $crate::view::View {
                $crate::view::View::One($crate::view::Section::record("record", "", self))
            }
        }
    };
}
