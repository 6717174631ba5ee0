//! Carries out an action: most are one question to the node and its printed answer.

mod apply;
mod complete;
mod doctor;
mod health_check;
mod hints;
mod secret;
mod trace;

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::CommandFactory;
use crs_admin_api::command as api;
use crs_admin_api::command::{CommandInfo, Impact};
use crs_admin_api::view::Render;
use crs_admin_api::{AdminError, COMMANDS, Code, Exit, Reply, Request, SecretText};

use crate::args::{
    Action, Blacklist, Check, Cli, Create, CreateAccount, Delete, Global, List, Lookup, Purge,
    Reload, Show,
};
use crate::client::{Client, PATIENCE};
use crate::{broken_pipe, completion, output};

/// Changing an account waits for a majority of the nodes, and erasing one for its mailboxes.
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command and prints its error, if any.
pub(crate) fn run(cli: Cli) -> Exit {
    let json = matches!(cli.global.output, Some(crate::args::Output::Json));
    let global = cli.global.clone();
    match act(cli) {
        Ok(exit) => exit,
        Err(error) if output::is_closed_pipe(&error) => broken_pipe(),
        Err(error) => {
            let error = hints::of_error(error, &global);
            output::print_error(&error, json);
            error.exit
        }
    }
}

fn act(cli: Cli) -> Result<Exit, AdminError> {
    let global = &cli.global;
    let request = match cli.action {
        Action::Apply(args) => return apply::run(global, &args),
        Action::Commands => return commands(global),
        Action::Complete { words } => return Ok(complete::run(global, &words)),
        Action::Completion { shell } => {
            return output::print(&completion::script(shell, Cli::command())).map(|()| Exit::Ok);
        }
        Action::Create(Create::SharedSecret(args)) => return secret::run(global, &args),
        Action::Doctor(args) => return doctor::run(global, &args),
        Action::HealthCheck(args) => return health_check::run(global, &args),
        Action::Trace(args) => return trace::run(global, &args),
        Action::Delete(Delete::Account { account, yes }) => {
            let question =
                format!("Erase account {account} and all its users on all nodes, for good?");
            if !yes {
                confirm(&question)?;
            }
            Request::DeleteAccount(api::delete_account::Request { account })
        }
        Action::Create(Create::Account(args)) => create_account(args)?,
        Action::Blacklist(what) => blacklist(what),
        Action::Check(Check::Slot { uri }) => Request::CheckSlot(api::check_slot::Request { uri }),
        Action::List(List::Account { reveal }) => {
            Request::ListAccount(api::list_account::Request { reveal })
        }
        Action::Lookup(Lookup::Client(who)) => Request::LookupClient(api::lookup_client::Request {
            account: who.account,
            uri: who.uri,
        }),
        Action::Purge(what) => purge(what),
        Action::Reload(Reload::Account) => Request::ReloadAccount(api::reload_account::Request {}),
        Action::Show(what) => show(what),
    };
    ask_and_print(global, &request)
}

/// One question, one answer.
fn ask_and_print(global: &Global, request: &Request) -> Result<Exit, AdminError> {
    let reply = Client::connect(&global.socket)?.ask(request, patience(request))?;
    let reply = hints::of_reply(reply, global);
    output::print_view(&reply.view(), global)?;
    Ok(exit_of(&reply))
}

fn patience(request: &Request) -> Duration {
    match request.impact() {
        Impact::Read => PATIENCE,
        Impact::Change => CHANGE_PATIENCE,
    }
}

/// A reload that met lines it does not understand deserves a look.
fn exit_of(reply: &Reply) -> Exit {
    let problems = matches!(reply, Reply::ReloadAccount(rows)
        if rows.iter().any(|row| !row.problems.is_empty()));
    if problems { Exit::Warning } else { Exit::Ok }
}

fn show(what: Show) -> Request {
    match what {
        Show::Attach { account } => Request::ShowAttach(api::show_attach::Request { account }),
        Show::Blacklist { account } => {
            Request::ShowBlacklist(api::show_blacklist::Request { account })
        }
        Show::Session => Request::ShowSession(api::show_session::Request {}),
        Show::Message { account } => Request::ShowMessage(api::show_message::Request { account }),
        Show::System => Request::ShowSystem(api::show_system::Request {}),
        Show::Version => Request::ShowVersion(api::show_version::Request {}),
        Show::Account { account } => Request::ShowAccount(api::show_account::Request { account }),
        Show::Relay => Request::ShowRelay(api::show_relay::Request {}),
        Show::Relays => Request::ShowRelays(api::show_relays::Request {}),
        Show::Updates => Request::ShowUpdates(api::show_updates::Request {}),
        Show::Services => Request::ShowServices(api::show_services::Request {}),
        Show::Node => Request::ShowNode(api::show_node::Request {}),
    }
}

fn blacklist(what: Blacklist) -> Request {
    match what {
        Blacklist::Add(who) => Request::BlacklistAdd(api::blacklist_add::Request {
            account: who.account,
            uri: who.uri,
        }),
        Blacklist::Remove(who) => Request::BlacklistRemove(api::blacklist_remove::Request {
            account: who.account,
            uri: who.uri,
        }),
    }
}

fn purge(what: Purge) -> Request {
    match what {
        Purge::Client(who) => {
            Request::PurgeClient(api::purge_client::Request { account: who.account, uri: who.uri })
        }
        Purge::Clients { account } => {
            Request::PurgeClients(api::purge_clients::Request { account })
        }
    }
}

fn create_account(args: CreateAccount) -> Result<Request, AdminError> {
    let secret = args.secret.map(|text| secret::checked(&text)).transpose()?;
    Ok(Request::CreateAccount(api::create_account::Request {
        account: args.account,
        secret: secret.map(SecretText::new),
        bytes: args.length.bytes(),
        cms_key: args.cms_key,
    }))
}

/// `commands`: what the node answers, and what this program does alone.
fn commands(global: &Global) -> Result<Exit, AdminError> {
    let alone = [
        ("commands", "list all commands"),
        ("completion", "script for tab completion"),
        ("create sharedSecret", "print a random secret"),
    ];
    let alone = alone.into_iter().map(|(name, purpose)| (name, Impact::Read, purpose));
    let mut all: Vec<CommandInfo> = COMMANDS
        .iter()
        .copied()
        .filter(|(name, ..)| *name != "complete")
        .chain(alone)
        .map(|(name, impact, purpose)| CommandInfo {
            command: name.to_owned(),
            impact,
            purpose: purpose.to_owned(),
        })
        .collect();
    all.sort_by(|a, b| a.command.cmp(&b.command));
    output::print_view(&all.view(), global)?;
    Ok(Exit::Ok)
}

/// Asks on a terminal. Without one nobody can answer: what cannot be undone needs the flag (U19).
fn confirm(question: &str) -> Result<(), AdminError> {
    if !io::stdin().is_terminal() {
        let message = format!("{question} Nobody can be asked here, so nothing was changed");
        return Err(AdminError::new(Code::NotConfirmed, message));
    }
    match answer(&format!("{question} [y/N] "))?.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(AdminError::new(Code::NotConfirmed, "nothing was changed")),
    }
}

/// Asks on standard error, so that standard output holds nothing but data.
fn answer(question: &str) -> Result<String, AdminError> {
    let mut line = String::new();
    let asked = io::stderr()
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().lock().read_line(&mut line));
    asked.map_err(|error| {
        AdminError::new(Code::NotConfirmed, format!("no answer could be read: {error}"))
    })?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_waited_for_longer_than_questions() {
        assert_eq!(patience(&Request::ShowSystem(api::show_system::Request {})), PATIENCE);
        let change = Request::ReloadAccount(api::reload_account::Request {});
        assert_eq!(patience(&change), CHANGE_PATIENCE);
    }
}
