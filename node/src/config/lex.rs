//! From bytes to words: comments, quotes, headings, `NAME=value` (Q-53).

use super::problem::{Problem, Wrong};
use super::{FILE_MAX, Source, SourceKind};

/// Longest line in bytes.
const LINE_MAX: usize = 4096;

/// What a line holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Blank or only a comment.
    Nothing,
    /// `[NAME]`.
    Heading(String),
    /// At least one word.
    Words(Vec<String>),
}

/// The text of a file.
pub(super) fn text_of(source: &Source) -> Result<&str, Box<Problem>> {
    if source.bytes.len() > FILE_MAX {
        let text = format!("expected at most {FILE_MAX} bytes, got {}", source.bytes.len());
        return Err(Box::new(Problem::of_file(source, text)));
    }
    std::str::from_utf8(&source.bytes).map_err(|error| {
        let before = &source.bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Box::new(Problem { line: Some(line), ..Problem::of_file(source, "expected UTF-8 text") })
    })
}

/// The words of one line.
pub(super) fn line(raw: &str, kind: SourceKind) -> Result<Line, Wrong> {
    if raw.len() > LINE_MAX {
        let got = format!("expected at most {LINE_MAX} bytes in a line, got {}", raw.len());
        return Err(Wrong::expected(got));
    }
    let mut words = words(raw)?;
    if kind == SourceKind::Relay {
        split_assignment(&mut words);
    }
    Ok(match words.as_slice() {
        [] => Line::Nothing,
        [first, ..] if first.starts_with('[') => Line::Heading(heading(&words)?),
        _ => Line::Words(words),
    })
}

/// Splits at blanks; `"…"` holds blanks and `#`; `\"` and `\\` stand for themselves inside.
fn words(raw: &str) -> Result<Vec<String>, Wrong> {
    let mut words = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = raw.trim_start_matches('\u{feff}').chars();
    while let Some(c) = chars.next() {
        match c {
            '#' if current.is_none() => break,
            '"' => quoted(&mut chars, current.get_or_insert_default())?,
            c if c.is_whitespace() => words.extend(current.take()),
            c if c.is_control() => {
                return Err(Wrong::expected("expected text without control characters"));
            }
            c => current.get_or_insert_default().push(c),
        }
    }
    words.extend(current);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Wrong> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match chars.next() {
                Some(c @ ('"' | '\\')) => word.push(c),
                Some(_) | None => {
                    return Err(Wrong::expected(
                        "expected \\\" or \\\\ after a backslash in quotes",
                    ));
                }
            },
            c if c.is_control() => {
                return Err(Wrong::expected("expected text without control characters"));
            }
            c => word.push(c),
        }
    }
    Err(Wrong::expected("expected a closing quote"))
}

/// `NAME=value`, `NAME = value` and `NAME value` are the same in `crs-relay.conf`.
fn split_assignment(words: &mut Vec<String>) {
    let Some(first) = words.first() else { return };
    if let Some((name, value)) = first.split_once('=') {
        let parts: Vec<String> =
            [name, value].into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect();
        words.splice(0..1, parts);
    } else if let Some(second) = words.get(1).and_then(|word| word.strip_prefix('=')) {
        let rest = (!second.is_empty()).then(|| second.to_owned());
        words.splice(1..2, rest);
    }
}

fn heading(words: &[String]) -> Result<String, Wrong> {
    let joined = words.join(" ");
    match joined.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(name) => Ok(name.trim().to_owned()),
        None => Err(Wrong::expected("expected a heading such as [GLOBAL]").got(&joined)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(raw: &str) -> Vec<String> {
        match line(raw, SourceKind::Pool) {
            Ok(Line::Words(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_quotes_and_comments() {
        assert_eq!(split(r#"key "a b" 256bit # why"#), ["key", "a b", "256bit"]);
        assert_eq!(split(r#"key "a#\"b\\""#), ["key", r#"a#"b\"#]);
        assert_eq!(split("a#b c"), ["a#b", "c"], "a # inside a word is part of it");
        assert_eq!(split(r#"a """#), ["a", ""]);
        assert_eq!(line("   # only", SourceKind::Pool), Ok(Line::Nothing));
        assert_eq!(
            line("[ PUSH-CONFIG ]", SourceKind::Pool),
            Ok(Line::Heading("PUSH-CONFIG".into()))
        );
    }

    #[test]
    fn assignments_are_split_in_the_relay_file_only() {
        for raw in ["A=5", "A = 5", "A =5", "A= 5", "A 5"] {
            let words = Line::Words(vec!["A".into(), "5".into()]);
            assert_eq!(line(raw, SourceKind::Relay), Ok(words), "{raw}");
        }
        assert_eq!(split("key abc="), ["key", "abc="]);
    }

    #[test]
    fn what_is_not_a_line_says_what_was_expected() {
        for (raw, expected) in [
            ("key \"abc", "a closing quote"),
            ("key \"a\\b\"", "after a backslash"),
            ("a\u{7}b", "control characters"),
            ("[GLOBAL", "a heading"),
        ] {
            let wrong = line(raw, SourceKind::Pool).unwrap_err();
            assert!(wrong.expected.contains(expected), "{raw}: {wrong:?}");
        }
    }
}
