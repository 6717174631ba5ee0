//! Tables: aligned columns; on a terminal, and when they are not long, with lines around them.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};

use super::{Options, printable, text_of};
use crate::view::{Body, Column, Section, View};

/// Tables longer than this are printed without lines: nobody reads them box by box, and lines
/// only get into what is searched and copied.
const BOXED_ROWS_MAX: usize = 500;

pub(super) fn render(view: &View, options: &Options) -> String {
    match view {
        View::One(section) => body(section, options),
        View::Many(sections) => {
            let blocks = sections.iter().filter_map(|section| titled(section, options));
            blocks.collect::<Vec<_>>().join("\n")
        }
    }
}

/// One of several sections, below its title; one line when it is text.
fn titled(section: &Section, options: &Options) -> Option<String> {
    let body = match &section.body {
        Body::Text(None) => return None,
        Body::Text(Some(text)) => return Some(format!("{}: {}\n", section.title, printable(text))),
        Body::Rows(rows) if rows.is_empty() => "  none\n".to_owned(),
        Body::Rows(_) | Body::Record(_) => body(section, options),
    };
    Some(format!("{}\n{body}", section.title))
}

fn body(section: &Section, options: &Options) -> String {
    let columns = section.visible(options.verbose);
    match &section.body {
        Body::Rows(rows) => fitting(&columns, rows, options),
        Body::Record(record) => pairs(&columns, record),
        Body::Text(text) => text.as_ref().map_or_else(String::new, |t| printable(t) + "\n"),
    }
}

/// With lines, without them, or a paragraph for each row: the first that fits the terminal. A table
/// that the terminal breaks in the middle of its lines cannot be read.
fn fitting(columns: &[Column], rows: &[Map<String, Value>], options: &Options) -> String {
    let fits = |text: &String| {
        options.width.is_none_or(|most| text.lines().all(|line| width(line) <= most))
    };
    let with_lines = (options.boxes && rows.len() <= BOXED_ROWS_MAX)
        .then(|| boxed(columns, rows, options))
        .filter(fits);
    if let Some(text) = with_lines {
        return text;
    }
    let text = plain(columns, rows, options);
    if rows.is_empty() || fits(&text) {
        return text;
    }
    rows.iter().map(|row| pairs(columns, row)).collect::<Vec<_>>().join("\n")
}

fn boxed(columns: &[Column], rows: &[Map<String, Value>], options: &Options) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if options.header {
        table.set_header(columns.iter().map(|c| c.title));
    }
    for row in rows {
        table.add_row(columns.iter().map(|c| cell(row, c)));
    }
    for (index, column) in columns.iter().enumerate() {
        if is_number(rows, column)
            && let Some(found) = table.column_mut(index)
        {
            found.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// Two spaces between columns; numbers to the right; nothing after the last column.
fn plain(columns: &[Column], rows: &[Map<String, Value>], options: &Options) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let title = if options.header { width(column.title) } else { 0 };
            cells.iter().filter_map(|row| row.get(i)).map(|c| width(c)).fold(title, usize::max)
        })
        .collect();
    let right: Vec<bool> = columns.iter().map(|c| is_number(rows, c)).collect();
    let mut out = String::with_capacity((rows.len() + 1) * (widths.iter().sum::<usize>() + 16));
    if options.header {
        let titles: Vec<String> = columns.iter().map(|c| c.title.to_owned()).collect();
        push_line(&mut out, &titles, &widths, &right);
    }
    cells.iter().for_each(|row| push_line(&mut out, row, &widths, &right));
    out
}

fn push_line(out: &mut String, cells: &[String], widths: &[usize], right: &[bool]) {
    let start = out.len();
    for ((cell, width_max), right) in cells.iter().zip(widths).zip(right) {
        if out.len() > start {
            out.push_str("  ");
        }
        let padding = width_max.saturating_sub(width(cell));
        if *right {
            out.extend(std::iter::repeat_n(' ', padding));
        }
        out.push_str(cell);
        if !*right {
            out.extend(std::iter::repeat_n(' ', padding));
        }
    }
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

/// A record: one `heading: value` line for each column.
fn pairs(columns: &[Column], record: &Map<String, Value>) -> String {
    let widest = columns.iter().map(|c| width(c.title)).max().unwrap_or(0);
    columns
        .iter()
        .map(|c| {
            let padding = " ".repeat(widest - width(c.title));
            let line = format!("{}:{padding} {}", c.title, cell(record, c));
            line.trim_end().to_owned() + "\n"
        })
        .collect()
}

fn cell(row: &Map<String, Value>, column: &Column) -> String {
    row.get(column.key).map(text_of).unwrap_or_default()
}

fn is_number(rows: &[Map<String, Value>], column: &Column) -> bool {
    rows.first().and_then(|row| row.get(column.key)).is_some_and(Value::is_number)
}

/// Characters; what we print is made of narrow ones but for what clients call themselves.
fn width(text: &str) -> usize {
    text.chars().count()
}
