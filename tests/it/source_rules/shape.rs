//! Shape of the sources: every file says its one job and stays readable.

use std::path::Path;

use crs_tests::{source_files, workspace_root};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

fn relative(path: &Path) -> String {
    path.strip_prefix(workspace_root()).unwrap_or(path).display().to_string()
}

#[test]
fn files_stay_within_five_hundred_lines() {
    let long: Vec<String> = source_files(&[".rs"])
        .iter()
        .filter_map(|path| {
            let lines = std::fs::read_to_string(path).ok()?.lines().count();
            (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", relative(path)))
        })
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_file_says_its_job() {
    let silent: Vec<String> = source_files(&[".rs"])
        .iter()
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            !text.lines().any(|line| line.starts_with("//!")) && !text.trim().is_empty()
        })
        .map(|path| relative(path))
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn functions_stay_within_seventy_lines() {
    let long: Vec<String> = source_files(&[".rs"])
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            long_functions(&text)
                .into_iter()
                .map(|(name, lines)| format!("{}: {name} has {lines} lines", relative(path)))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

/// Functions of rustfmt-formatted text longer than the limit: from the `fn` line to the line
/// that closes it at the same indentation.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = function_name(trimmed) else { continue };
        let closing = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let end = lines[start..].iter().position(|l| *l == closing || is_declaration(l));
        let length = end.map_or(0, |end| end + 1);
        if length > FUNCTION_LINES_MAX {
            long.push((name.to_owned(), length));
        }
    }
    long
}

fn is_declaration(line: &str) -> bool {
    line.contains("fn ") && line.trim_end().ends_with(';')
}

fn function_name(trimmed: &str) -> Option<&str> {
    let before =
        ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "];
    let mut rest = trimmed;
    while let Some(stripped) = before.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = stripped;
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

#[test]
fn a_planted_long_function_is_seen() {
    let body = "    let x = 1;\n".repeat(70);
    let text = format!("pub async fn long(a: u8) {{\n{body}}}\n");
    assert_eq!(long_functions(&text), vec![("long".to_owned(), 72)]);
}
