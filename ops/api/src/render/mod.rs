//! Printing a view as table, JSON or TSV: the same fields under the same flags.

mod json;
mod table;
mod tsv;

use std::fmt::Write as _;

use serde_json::Value;

use crate::view::View;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON value.
    Json,
    /// For programs: tab-separated, with a line of headings.
    Tsv,
}

/// The flags that change what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The format.
    pub format: Format,
    /// Also the columns that only `--verbose` shows.
    pub verbose: bool,
    /// Print the line of headings.
    pub header: bool,
    /// Lines around tables: only on a terminal.
    pub boxes: bool,
    /// Colour: only on a terminal, and not with `NO_COLOR`.
    pub colour: bool,
    /// Columns of the terminal: a table that is wider is printed another way.
    pub width: Option<usize>,
}

/// Columns of the terminal that standard output is.
pub fn terminal_width() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Table,
            verbose: false,
            header: true,
            boxes: false,
            colour: false,
            width: None,
        }
    }
}

/// Prints a view. The text ends with a line feed unless it is empty.
pub fn render(view: &View, options: &Options) -> String {
    match options.format {
        Format::Table => table::render(view, options),
        Format::Json => json::render(view, options),
        Format::Tsv => tsv::render(view, options),
    }
}

/// A JSON value as the text of a cell. Control characters, which a client could have sent to
/// play tricks with a terminal, are escaped.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => printable(text),
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join(", "),
        Value::Object(_) => printable(&value.to_string()),
    }
}

/// Text without anything that moves a cursor or hides what follows.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(hidden) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, and the marks that turn the direction of text around.
fn hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
