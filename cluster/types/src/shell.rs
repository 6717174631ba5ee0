//! Commands in messages, written so that they do what they say when they are pasted into a shell.

use std::borrow::Cow;

/// A word as a POSIX shell reads it back: quoted when it holds what a shell takes for its own.
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+=,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// The command with `options` behind the name of `program`, wherever that stands in it (behind
/// `sudo`, too). Hints are written where nobody knows how the program was called.
pub fn with_options(command: &str, program: &str, options: &str) -> String {
    if options.is_empty() || command.contains(options) {
        return command.to_owned();
    }
    let words = command.split(' ').map(|found| {
        if found == program {
            Cow::Owned(format!("{program} {options}"))
        } else {
            Cow::Borrowed(found)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A text in which every command between backticks is as [`with_options`] makes it.
pub fn hint_with_options(text: &str, program: &str, options: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let is_command = index % 2 == 1;
        if is_command { with_options(part, program, options) } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// The commands between backticks.
pub fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The words of every command under `Examples:` in a page of help: what tests hold against the
/// command line. A backslash at the end of a line continues it; quotes keep blanks in a word.
pub fn examples(help: &str, program: &str) -> Vec<Vec<String>> {
    let Some((_, behind)) = help.split_once("Examples:\n") else { return Vec::new() };
    let block = behind.split("\n\n").next().unwrap_or_default().replace("\\\n", " ");
    let own = |words: &Vec<String>| words.first().is_some_and(|word| word == program);
    block.lines().map(words).filter(own).collect()
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None::<char>);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_a_shell_as_they_were() {
        let words = ["plain-1.2/x:y", "two words", "it's", "$HOME", "", "~", "a\"b", "å"];
        let line = words.map(word).join(" ");
        let printed = std::process::Command::new("sh")
            .args(["-c", &format!("printf '<%s>\\n' {line}")])
            .output()
            .unwrap();
        let expected = words.map(|word| format!("<{word}>\n")).concat();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected);
        assert_eq!(word("plain-1.2/x:y"), "plain-1.2/x:y");
    }

    #[test]
    fn examples_are_read_from_their_block_only() {
        let help = "Examples:\n  a b 'c d' \\\n    e\n  other f\n  a \"\"\n\nExit codes: 0\n  a no";
        let expected = [vec!["a", "b", "c d", "e"], vec!["a", ""]];
        assert_eq!(examples(help, "a"), expected);
        assert!(examples("  a b", "a").is_empty());
    }

    #[test]
    fn options_go_into_the_commands_of_the_program_and_nowhere_else() {
        let text =
            "crs-cli says: see `sudo crs-cli doctor` and `crs-cms list`; `crs-cli show node`";
        assert_eq!(
            hint_with_options(text, "crs-cli", "--socket x"),
            "crs-cli says: see `sudo crs-cli --socket x doctor` and `crs-cms list`; \
             `crs-cli --socket x show node`"
        );
        assert_eq!(hint_with_options(text, "crs-cli", ""), text);
        let once = with_options("crs-cli doctor", "crs-cli", "--socket x");
        assert_eq!(with_options(&once, "crs-cli", "--socket x"), once);
        let found: Vec<&str> = commands(text).collect();
        assert_eq!(found, ["sudo crs-cli doctor", "crs-cms list", "crs-cli show node"]);
    }
}
