//! TSV: a line of headings, a line for each row; sections are separated by an empty line.

use serde_json::{Map, Value};

use super::{Options, text_of};
use crate::view::{Body, Column, Section, View};

pub(super) fn render(view: &View, options: &Options) -> String {
    let blocks: Vec<String> = view.sections().iter().map(|s| block(s, options)).collect();
    blocks.join("\n")
}

fn block(section: &Section, options: &Options) -> String {
    let columns = section.visible(options.verbose);
    let mut out = String::new();
    let heading = match &section.body {
        Body::Rows(_) | Body::Record(_) => join(columns.iter().map(|c| c.title.to_owned())),
        Body::Text(_) => section.title.to_owned(),
    };
    if options.header && !heading.is_empty() {
        out.push_str(&heading);
        out.push('\n');
    }
    match &section.body {
        Body::Rows(rows) => rows.iter().for_each(|row| push_row(&mut out, row, &columns)),
        Body::Record(row) => push_row(&mut out, row, &columns),
        Body::Text(text) => {
            out.push_str(&super::printable(text.as_deref().unwrap_or_default()));
            out.push('\n');
        }
    }
    out
}

/// Tabs and line feeds inside a cell are escaped like every control character.
fn push_row(out: &mut String, row: &Map<String, Value>, columns: &[Column]) {
    let cells = columns.iter().map(|c| row.get(c.key).map(text_of).unwrap_or_default());
    out.push_str(&join(cells));
    out.push('\n');
}

fn join(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join("\t")
}
