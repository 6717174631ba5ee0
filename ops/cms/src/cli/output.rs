//! Printing: data on standard output, everything else on standard error.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::args::Format;

/// A command's result: the JSON is the truth, the text is for people.
pub(super) struct Report {
    text: String,
    json: Value,
}

impl Report {
    /// From the text and the JSON form.
    pub(super) fn new(text: impl Into<String>, json: impl Serialize) -> Self {
        // Our reports are plain structs and maps with text keys: they always encode.
        Self { text: text.into(), json: serde_json::to_value(json).unwrap_or(Value::Null) }
    }
}

/// Prints a result.
pub(super) fn print(report: &Report, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table => write!(out, "{}", with_newline(&report.text))?,
        Format::Json => writeln!(out, "{}", report.json)?,
    }
    out.flush()
}

/// Prints an error: a line of cause and a line of remedy, or a JSON object.
pub(super) fn print_error(message: &str, code: &str, hint: &str, exit: u8, format: Format) {
    match format {
        Format::Table => eprintln!("crs-cms: {message}\n    try: {hint}"),
        Format::Json => {
            let object = serde_json::json!({
                "code": code, "message": message, "hint": hint, "exit": exit,
            });
            eprintln!("{object}");
        }
    }
}

/// Columns padded to their widest cell; no lines, no colours.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = std::iter::once(line(head.to_vec()));
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    head.chain(body).map(|line| line + "\n").collect()
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}
