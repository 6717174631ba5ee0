//! `complete`: live values for the word under the cursor. Silent whatever happens.

use std::time::Duration;

use clap::{Command, CommandFactory};
use crs_admin_api::command::complete::{Kind, Request as Ask};
use crs_admin_api::{Exit, Reply, Request};
use crs_types::AccountId;

use crate::args::{Cli, Global};
use crate::client::Client;
use crate::output;

/// A shell waits no longer than this.
const PATIENCE: Duration = Duration::from_millis(80);

pub(crate) fn run(global: &Global, words: &[String]) -> Exit {
    let Some((prefix, before)) = words.split_last() else { return Exit::Ok };
    let Some(kind) = wanted(before) else { return Exit::Ok };
    let request = Request::Complete(Ask { kind, prefix: prefix.clone() });
    let answer = Client::connect(&global.socket).and_then(|mut c| c.ask(&request, PATIENCE));
    if let Ok(Reply::Complete(values)) = answer {
        let lines: String = values.into_iter().map(|v| v.value + "\n").collect();
        // A shell that no longer reads has its answer.
        let _ = output::print(&lines);
    }
    Exit::Ok
}

/// What stands at the next position, after the words before it.
fn wanted(before: &[String]) -> Option<Kind> {
    let mut command = Cli::command();
    let mut path = Vec::new();
    let mut values: Vec<&String> = Vec::new();
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            if takes_value(&command, word) {
                words.next();
            }
            continue;
        }
        match command.find_subcommand(word).cloned() {
            Some(found) if values.is_empty() => {
                path.push(word.as_str());
                command = found;
            }
            Some(_) | None => values.push(word),
        }
    }
    let position = command.get_positionals().nth(values.len())?;
    match position.get_id().as_str() {
        "account" => Some(Kind::Account),
        "uri" => {
            let account = AccountId::parse(values.first()?).ok()?;
            Some(if path == ["blacklist", "remove"] {
                Kind::Blacklisted(account)
            } else {
                Kind::Uri(account)
            })
        }
        _ => None,
    }
}

fn takes_value(command: &Command, word: &str) -> bool {
    let root = Cli::command();
    let options = command.get_opts().chain(root.get_opts());
    let mut named = options.filter(|option| {
        option.get_long().is_some_and(|long| word == format!("--{long}"))
            || option.get_short().is_some_and(|short| word == format!("-{short}"))
    });
    named.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Option<Kind> {
        wanted(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn accounts_and_numbers_are_wanted_where_they_belong() {
        let police = AccountId::parse("police").unwrap();
        assert_eq!(at("show blacklist"), Some(Kind::Account));
        assert_eq!(at("--socket /tmp/x show blacklist"), Some(Kind::Account));
        assert_eq!(at("blacklist add police"), Some(Kind::Uri(police.clone())));
        assert_eq!(at("blacklist remove police"), Some(Kind::Blacklisted(police.clone())));
        assert_eq!(at("trace client police"), Some(Kind::Uri(police)));
        assert_eq!(at("show"), None);
        assert_eq!(at("create account"), None);
        assert_eq!(at("show blacklist police"), None);
        assert_eq!(at("blacklist add a/b"), None);
    }
}
