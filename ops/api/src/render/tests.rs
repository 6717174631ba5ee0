//! Every format prints the same fields; a terminal cannot be tricked by a cell.

use super::*;
use crate::Reply;
use crate::view::{Body, Render};

fn options(format: Format, verbose: bool) -> Options {
    Options { format, verbose, ..Options::default() }
}

crate::row! {
    /// A row with everything that is difficult.
    struct Odd {
        /// Text.
        name: String => "NAME",
        /// Number.
        count: u64 => "COUNT",
        /// Hidden by default.
        extra: Option<String> => verbose "EXTRA",
    }
}

fn odd(name: &str, count: u64) -> Odd {
    Odd { name: name.to_owned(), count, extra: None }
}

#[test]
fn tables_align_and_end_without_spaces() {
    let text = render(&vec![odd("a", 5), odd("long", 12)].view(), &Options::default());
    assert_eq!(text, "NAME  COUNT\na         5\nlong     12\n");
    let headless = Options { header: false, ..Options::default() };
    assert_eq!(render(&vec![odd("a", 5)].view(), &headless), "a  5\n");
}

#[test]
fn boxes_are_drawn_only_when_asked_for() {
    let boxes = Options { boxes: true, ..Options::default() };
    let text = render(&vec![odd("a", 5)].view(), &boxes);
    assert!(text.contains('│') && text.contains("NAME"), "{text}");
    assert!(!render(&vec![odd("a", 5)].view(), &Options::default()).contains('│'));
}

#[test]
fn cells_cannot_move_the_cursor() {
    let rows = vec![odd("\u{1b}[2J\tx\ny\u{202e}", 1)];
    for format in [Format::Table, Format::Tsv] {
        let text = render(&rows.view(), &options(format, false));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
        assert_eq!(text.lines().count(), 2, "{text:?}");
    }
}

#[test]
fn output_parity_of_every_reply() {
    for reply in samples() {
        for verbose in [false, true] {
            let json: Value =
                serde_json::from_str(&render(&reply.view(), &options(Format::Json, verbose)))
                    .unwrap();
            let tsv = render(&reply.view(), &options(Format::Tsv, verbose));
            let table = render(&reply.view(), &options(Format::Table, verbose));
            assert_same_fields(&reply, &json, &tsv, &table, verbose);
        }
    }
}

fn assert_same_fields(reply: &Reply, json: &Value, tsv: &str, table: &str, verbose: bool) {
    let view = reply.view();
    let sections = view.sections();
    for section in sections {
        let value = if matches!(view, View::One(_)) { json } else { &json[section.key] };
        let columns = section.visible(verbose);
        let rows: Vec<&Value> = match &section.body {
            Body::Rows(_) => value.as_array().unwrap().iter().collect(),
            Body::Record(_) => vec![value],
            Body::Text(_) => continue,
        };
        for row in rows {
            let object = row.as_object().unwrap();
            assert_eq!(object.len(), columns.len(), "{} {object:?}", reply.name());
            for column in &columns {
                let text = text_of(&object[column.key]);
                assert!(tsv.contains(&text), "{}: {text:?} not in {tsv}", reply.name());
                assert!(table.contains(&text), "{}: {text:?} not in {table}", reply.name());
                assert!(tsv.contains(column.title) && table.contains(column.title));
            }
        }
    }
}

/// Every row type's columns are exactly its JSON keys.
#[test]
fn columns_are_the_json_keys() {
    for reply in samples() {
        for section in reply.view().sections() {
            let keys: Vec<_> = match &section.body {
                Body::Rows(rows) => rows.first().map(|r| r.keys().cloned().collect()),
                Body::Record(row) => Some(row.keys().cloned().collect()),
                Body::Text(_) => None,
            }
            .unwrap_or_default();
            if matches!(&section.body, Body::Rows(rows) if rows.is_empty()) {
                continue;
            }
            let mut columns: Vec<_> = section.columns.iter().map(|c| c.key.to_owned()).collect();
            columns.sort();
            assert_eq!(keys, columns, "{}", reply.name());
        }
    }
}

/// What a narrow terminal would break is printed without lines, then row by row.
#[test]
fn a_table_fits_its_terminal() {
    let on = |width| Options { boxes: true, width: Some(width), ..Options::default() };
    let rows = vec![odd("a", 5), odd("longer", 12)];
    let boxed = render(&rows.view(), &on(18));
    assert!(boxed.contains('│') && boxed.lines().all(|line| line.chars().count() == 18), "{boxed}");
    assert_eq!(render(&rows.view(), &on(17)), "NAME    COUNT\na           5\nlonger     12\n");
    assert_eq!(render(&rows.view(), &on(12)), "NAME:  a\nCOUNT: 5\n\nNAME:  longer\nCOUNT: 12\n");
    let empty: Vec<Odd> = Vec::new();
    assert_eq!(render(&empty.view(), &on(3)), "NAME  COUNT\n");
}

/// A list of 10 000 clients is printed in one piece without boxes, terminal or not.
#[test]
fn long_tables_have_no_boxes() {
    let rows: Vec<Odd> = (0..501).map(|n| odd("x", n)).collect();
    let boxes = Options { boxes: true, ..Options::default() };
    assert!(!render(&rows.view(), &boxes).contains('│'));
}

fn samples() -> Vec<Reply> {
    crate::command::samples::all()
}

/// What every command prints, in full. `UPDATE_GOLDEN=1` writes the file anew.
#[test]
fn golden_output_of_every_command() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/render/golden.txt");
    let mut text = String::new();
    for reply in samples() {
        for (word, format, verbose, boxes) in [
            ("table", Format::Table, false, false),
            ("table --verbose", Format::Table, true, false),
            ("table on a terminal", Format::Table, false, true),
            ("tsv", Format::Tsv, false, false),
            ("json", Format::Json, false, false),
        ] {
            let options = Options { boxes, ..options(format, verbose) };
            let printed = render(&reply.view(), &options);
            let _ = write!(text, "== {}, {word}\n{printed}", reply.name());
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}
