//! From the words of the command line to [`Cli`], or to an error of one cause and one remedy.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use crs_admin_api::{AdminError, Code, Exit};

use crate::args::Cli;
use crate::output;

/// Parses the command line. Help and version print themselves and end with exit 0.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is clap's and grows")]
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Cli, Exit> {
    let words: Vec<OsString> = words.collect();
    let parsed = Cli::command()
        .try_get_matches_from(&words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever asks for help and closes the pipe has seen enough.
            let _ = error.print();
            Exit::Ok
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            output::print_error(&explain(&error, &words), wants_json(&words));
            Exit::Usage
        }
    })
}

/// What is wrong with the command line, in one line, and how it would be right.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is clap's and grows")]
fn explain(error: &clap::Error, words: &[OsString]) -> AdminError {
    let get = |kind| error.get(kind).map(text).unwrap_or_default();
    let wrong = get(ContextKind::InvalidSubcommand);
    let argument = get(ContextKind::InvalidArg);
    let value = get(ContextKind::InvalidValue);
    let cause = match error.kind() {
        ErrorKind::InvalidSubcommand => format!("there is no \"{wrong}\" here"),
        ErrorKind::UnknownArgument => format!("\"{argument}\" is not expected here"),
        ErrorKind::MissingRequiredArgument => format!("missing: {argument}"),
        ErrorKind::MissingSubcommand => "the command is not complete".to_owned(),
        ErrorKind::ArgumentConflict => {
            let prior = get(ContextKind::PriorArg);
            format!("{} and {} exclude each other", name(&argument), name(&prior))
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(source) => format!("{}: {source}", name(&argument)),
            None => format!("{value:?} is no value for {}", name(&argument)),
        },
        ErrorKind::InvalidValue if value.is_empty() => format!("{} needs a value", name(&argument)),
        _ => first_line(error),
    };
    AdminError::with_hint(Code::Usage, cause, remedy(error, words))
}

/// The nearest word when there is one; otherwise where to read on.
fn remedy(error: &clap::Error, words: &[OsString]) -> String {
    for kind in
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
    {
        if let Some(suggested) = error.get(kind) {
            return format!("did you mean \"{}\"?", text(suggested));
        }
    }
    let valid = error.get(ContextKind::ValidValue).or(error.get(ContextKind::ValidSubcommand));
    match valid {
        Some(valid) => format!("one of: {}", text(valid)),
        None => format!("see `{} --help`", command_path(words)),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is clap's and grows")]
fn text(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        ContextValue::StyledStr(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// `<ACCOUNT-ID>` or `--for <TIME>` without the value's name.
fn name(argument: &str) -> String {
    let argument = argument.strip_prefix("[").unwrap_or(argument);
    match argument.split_once(' ') {
        Some((flag, _)) => flag.to_owned(),
        None => argument.trim_matches(['<', '>', ']', '.']).to_owned(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let printed = error.to_string();
    let line = printed.lines().next().unwrap_or("the command line is wrong");
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The longest part of the command line that names an action: `crs-cli create account`.
fn command_path(words: &[OsString]) -> String {
    let mut command = Cli::command();
    let mut path = "crs-cli".to_owned();
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        // Options and their values may stand before the action.
        if let Some(found) = command.find_subcommand(word).cloned() {
            path = format!("{path} {word}");
            command = found;
        }
    }
    path
}

/// Whether errors go out as JSON: decided before the command line could be understood.
fn wants_json(words: &[OsString]) -> bool {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let glued = ["--output=json", "-ojson", "-o=json"];
    words.iter().any(|word| glued.contains(word))
        || words.windows(2).any(|pair| matches!(pair, ["--output" | "-o", "json"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> AdminError {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = Cli::command().try_get_matches_from(&words).unwrap_err();
        explain(&error, &words)
    }

    #[test]
    fn misspelt_words_get_the_nearest_proposal() {
        let error = refused("crs-cli shwo attach");
        assert_eq!(error.message, "there is no \"shwo\" here");
        assert_eq!(error.hint, "did you mean \"show\"?");
        assert_eq!(refused("crs-cli show atach").hint, "did you mean \"attach\"?");
        assert!(refused("crs-cli show attach --verbos").hint.contains("--verbose"));
        assert!(refused("crs-cli show attach -o jsn").hint.contains("json"));
    }

    #[test]
    fn values_say_what_was_expected() {
        let error = refused("crs-cli create account a/b");
        assert_eq!(error.message, "ACCOUNT-ID: an account id holds only A-Z a-z 0-9 - _, not '/'");
        assert_eq!(error.hint, "see `crs-cli create account --help`");
        let error = refused("crs-cli --socket /x -v create account a/b");
        assert_eq!(error.hint, "see `crs-cli create account --help`");
        let error = refused("crs-cli create account aaaaaaaaaaaaaaaaaaaaa");
        assert!(error.message.contains("1 to 20 characters, this one has 21"), "{error}");
        assert!(refused("crs-cli blacklist add police 0701").message.contains("+46701234567"));
    }

    #[test]
    fn missing_and_conflicting_words_are_named() {
        assert!(refused("crs-cli blacklist add police").message.contains("<URI>"));
        let error = refused("crs-cli create account police -s AA== -B32");
        assert!(error.message.contains("-s and -B exclude each other"), "{error}");
        let error = refused("crs-cli create account police -b 128 -s AA==");
        assert!(error.message.contains("exclude each other"), "{error}");
        assert_eq!(error.exit, Exit::Usage);
    }
}
