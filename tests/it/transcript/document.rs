//! Transcripts in Markdown: which commands, and what they print.
//!
//! In a `console` block a line that begins with `$ ` is a command (a backslash at its end
//! continues it); the lines below it are its output. `…` stands for any text within a line; a
//! line that is only `…` stands for any number of lines.

/// One command and what it prints.
pub(super) struct Step {
    /// Line of the document, counted from 1.
    pub(super) line: usize,
    pub(super) command: String,
    pub(super) expected: Vec<String>,
}

/// The steps of a document, in order.
pub(super) fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    let mut continued = false;
    for (index, raw) in text.lines().enumerate() {
        if raw.starts_with("```") {
            inside = raw.trim() == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(command) = raw.strip_prefix("$ ") {
            let command = command.to_owned();
            steps.push(Step { line: index + 1, command, expected: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            if continued {
                step.command.push('\n');
                step.command.push_str(raw);
            } else {
                step.expected.push(raw.trim_end().to_owned());
            }
        }
        continued = raw.ends_with('\\');
    }
    steps
}

/// Whether printed lines are those expected.
pub(super) fn matches(expected: &[String], printed: &[String]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, None) => true,
        (None, Some((first, rest))) => first.trim().is_empty() && matches(expected, rest),
        (Some((first, rest)), _) if first == "…" => {
            (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]))
        }
        (Some(_), None) => expected.iter().all(|line| line.is_empty()),
        (Some((first, rest)), Some((line, lines))) => {
            line_matches(first, line.trim_end()) && matches(rest, lines)
        }
    }
}

/// Whether a line matches a pattern in which `…` stands for any text.
fn line_matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|head| line.strip_prefix(head)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_transcript_is_read_from_its_blocks_only() {
        let text = "# T\n$ not this\n```console\n$ a \\\n  b\nout\n$ c\n```\nend";
        let steps = parse(text);
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[0].command, "a \\\n  b");
        assert_eq!(steps[0].expected, vec!["out"]);
        assert_eq!(steps[1].line, 7);
    }

    #[test]
    fn wild_parts_match_and_everything_else_must_be_equal() {
        assert!(matches(&lines("a … c\n…\nend"), &lines("a b c\nx\ny\nend")));
        assert!(matches(&lines("…"), &[]));
        assert!(!matches(&lines("a … d"), &lines("a b c")));
        assert!(!matches(&lines("end"), &lines("end\nmore")));
        assert!(!matches(&lines("a\nb"), &lines("a")));
    }
}
