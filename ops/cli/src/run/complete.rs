//! `complete`: what may stand at the cursor, from the command tree and, for accounts and numbers,
//! from the node. Silent whatever happens.

use std::time::Duration;

use clap::{Arg, Command, CommandFactory, ValueHint};
use crs_admin_api::command::complete::{Kind, Request as Ask};
use crs_admin_api::command::doctor::NODE_CHECKS;
use crs_admin_api::{Exit, Reply, Request};
use crs_types::AccountId;

use crate::args::{Cli, Global};
use crate::client::Client;
use crate::output;

/// A shell waits no longer than this for a node.
const PATIENCE: Duration = Duration::from_millis(80);

/// Prints what may stand at the cursor. The exit code is an error when that can be no name of a
/// file either, so that the shell does not offer any.
pub(crate) fn run(global: &Global, words: &[String]) -> Exit {
    let words = joined(words);
    let Some((prefix, before)) = words.split_last() else { return Exit::Ok };
    let (mut found, exit) = match wanted(before, prefix) {
        Wanted::Words(words) => (words, Exit::Error),
        Wanted::List(words) => (continued(prefix, &words), Exit::Error),
        Wanted::Live(kind) => (live(global, kind, prefix), Exit::Error),
        Wanted::Path => (Vec::new(), Exit::Ok),
        Wanted::Nothing => (Vec::new(), Exit::Error),
    };
    found.retain(|word| word.starts_with(prefix.as_str()));
    let lines: String = found.into_iter().map(|word| word + "\n").collect();
    // A shell that no longer reads has its answer.
    let _ = output::print(&lines);
    exit
}

/// Bash breaks `--output=json` into three words; here they are `--output json`.
fn joined(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let behind_option = at > 0 && words[at - 1].starts_with("--");
        match (word == "=" && behind_option, at + 1 == words.len()) {
            (true, true) => out.push(String::new()),
            (true, false) => {}
            (false, _) => out.push(word.clone()),
        }
    }
    out
}

/// A list with commas: each word behind what stands before the last comma.
fn continued(prefix: &str, words: &[String]) -> Vec<String> {
    let before = prefix.rfind(',').map_or("", |comma| &prefix[..=comma]);
    words.iter().map(|word| format!("{before}{word}")).collect()
}

/// What may stand at the cursor.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// One of these words.
    Words(Vec<String>),
    /// Some of these words, with commas between them.
    List(Vec<String>),
    /// Something that the node knows.
    Live(Kind),
    /// The name of a file or directory.
    Path,
    /// Anything else: a secret, a time, a new name.
    Nothing,
}

fn live(global: &Global, kind: Kind, prefix: &str) -> Vec<String> {
    let request = Request::Complete(Ask { kind, prefix: prefix.to_owned() });
    let answer = Client::connect(&global.socket).and_then(|mut c| c.ask(&request, PATIENCE));
    match answer {
        Ok(Reply::Complete(values)) => values.into_iter().map(|value| value.value).collect(),
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Walks the command tree along the words before the cursor.
fn wanted(before: &[String], prefix: &str) -> Wanted {
    let mut place = Place::new();
    for word in before {
        place.step(word);
    }
    place.wanted(prefix)
}

/// Where in the command tree the cursor is.
struct Place {
    command: Command,
    /// Options that hold here and below.
    globals: Vec<Arg>,
    path: Vec<String>,
    values: Vec<String>,
    /// The option whose value comes next.
    open: Option<Arg>,
}

impl Place {
    fn new() -> Self {
        let command = Cli::command();
        let globals = globals_of(&command);
        Self { command, globals, path: Vec::new(), values: Vec::new(), open: None }
    }

    fn step(&mut self, word: &str) {
        if self.open.take().is_some() {
            return;
        }
        if word.starts_with('-') {
            self.open = self.option(word).filter(|arg| arg.get_action().takes_values());
            return;
        }
        match self.command.find_subcommand(word).cloned() {
            Some(found) if self.values.is_empty() => {
                self.path.push(word.to_owned());
                self.command = found;
                self.globals.extend(globals_of(&self.command));
            }
            Some(_) | None => self.values.push(word.to_owned()),
        }
    }

    fn wanted(&self, prefix: &str) -> Wanted {
        if let Some(option) = &self.open {
            return choices(option);
        }
        if prefix.starts_with('-') {
            let longs = self.options().filter_map(|arg| arg.get_long()).map(|l| format!("--{l}"));
            return Wanted::Words(longs.chain(["--help".to_owned()]).collect());
        }
        if self.command.has_subcommands() {
            let shown = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            return Wanted::Words(shown.map(|command| command.get_name().to_owned()).collect());
        }
        match self.command.get_positionals().nth(self.values.len()) {
            Some(position) => self.value(position),
            None => Wanted::Nothing,
        }
    }

    fn value(&self, position: &Arg) -> Wanted {
        match position.get_id().as_str() {
            "account" => Wanted::Live(Kind::Account),
            "uri" => match self.values.first().map(|id| AccountId::parse(id)) {
                Some(Ok(account)) if self.path == ["blacklist", "remove"] => {
                    Wanted::Live(Kind::Blacklisted(account))
                }
                Some(Ok(account)) if self.path == ["purge", "client"] => {
                    Wanted::Live(Kind::Attached(account))
                }
                Some(Ok(account)) => Wanted::Live(Kind::Uri(account)),
                Some(Err(_)) | None => Wanted::Nothing,
            },
            "number" => Wanted::Live(Kind::AnyUri),
            _ => choices(position),
        }
    }

    fn options(&self) -> impl Iterator<Item = &Arg> {
        let own = self.command.get_opts().filter(|arg| !arg.is_global_set());
        let flags = self.command.get_arguments().filter(|arg| !arg.get_action().takes_values());
        own.chain(flags.filter(|arg| !arg.is_global_set())).chain(&self.globals)
    }

    fn option(&self, word: &str) -> Option<Arg> {
        let named = |arg: &&Arg| {
            arg.get_long().is_some_and(|long| word == format!("--{long}"))
                || arg.get_short().is_some_and(|short| word == format!("-{short}"))
        };
        self.options().find(named).cloned()
    }
}

fn globals_of(command: &Command) -> Vec<Arg> {
    command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect()
}

fn choices(arg: &Arg) -> Wanted {
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let path = matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
    );
    match arg.get_id().as_str() {
        "only" => Wanted::List(check_names()),
        _ if !values.is_empty() => Wanted::Words(values),
        _ if path => Wanted::Path,
        _ => Wanted::Nothing,
    }
}

/// The node's checks and their groups.
fn check_names() -> Vec<String> {
    let groups = ["node", "storage", "accounts", "system"];
    NODE_CHECKS.iter().chain(&groups).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str, prefix: &str) -> Wanted {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        wanted(&words, prefix)
    }

    fn words(line: &str, prefix: &str) -> Vec<String> {
        match at(line, prefix) {
            Wanted::Words(words) => words,
            Wanted::List(_) | Wanted::Live(_) | Wanted::Path | Wanted::Nothing => Vec::new(),
        }
    }

    #[test]
    fn accounts_and_numbers_are_wanted_where_they_belong() {
        let police = AccountId::parse("police").unwrap();
        let account = Wanted::Live(Kind::Account);
        let uri = Wanted::Live(Kind::Uri(police.clone()));
        assert_eq!(at("show blacklist", "po"), account);
        assert_eq!(at("--socket /tmp/x show blacklist", ""), account);
        assert_eq!(at("blacklist add police", ""), uri);
        let attached = Wanted::Live(Kind::Attached(police.clone()));
        assert_eq!(at("purge client police", ""), attached, "nobody else can be purged");
        assert_eq!(at("lookup client police", ""), uri);
        assert_eq!(at("check slot", "+46"), Wanted::Live(Kind::AnyUri));
        assert_eq!(at("blacklist remove police", ""), Wanted::Live(Kind::Blacklisted(police)));
        assert_eq!(at("trace client police", "+46"), uri);
        for line in ["create account", "show blacklist police", "blacklist add a/b"] {
            assert_eq!(at(line, ""), Wanted::Nothing, "{line}");
        }
        for line in ["apply", "--socket", "doctor --pre --data"] {
            assert_eq!(at(line, ""), Wanted::Path, "{line}");
        }
    }

    #[test]
    fn words_come_from_the_command_tree() {
        assert!(words("", "").contains(&"health-check".to_owned()));
        assert!(!words("", "").contains(&"complete".to_owned()));
        assert!(words("show", "").contains(&"relays".to_owned()));
        assert_eq!(words("show attach --output", ""), ["table", "json", "tsv"]);
        assert_eq!(words("show attach -o", ""), ["table", "json", "tsv"]);
        let flags = words("health-check account police", "--");
        for flag in ["--local-only", "--output-format", "--socket", "--verbose", "--help"] {
            assert!(flags.contains(&flag.to_owned()), "{flag} in {flags:?}");
        }
        assert!(words("list account", "--").contains(&"--reveal".to_owned()));
        assert!(words("completion", "").contains(&"bash".to_owned()));
        assert_eq!(at("trace session --for", ""), Wanted::Nothing);
    }

    #[test]
    fn a_value_behind_an_equals_sign_and_one_in_a_list_are_completed_too() {
        let split =
            |line: &[&str]| joined(&line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(split(&["show", "--output", "=", "j"]), ["show", "--output", "j"]);
        assert_eq!(split(&["show", "--output", "="]), ["show", "--output", ""]);
        assert_eq!(split(&["create", "="]), ["create", "="]);
        assert_eq!(at("doctor --only", "disk,q"), Wanted::List(check_names()));
        let words = ["disk".to_owned(), "quorum".to_owned()];
        assert_eq!(continued("disk,q", &words), ["disk,disk", "disk,quorum"]);
        assert_eq!(continued("q", &words), words);
    }
}
