//! One file per command: from its request and the [`AdminContext`] to its reply.

pub(super) mod apply;
mod blacklist;
mod check_slot;
mod complete;
mod create_account;
mod delete_account;
mod doctor;
mod health_check;
mod list_account;
mod lookup_client;
mod offer;
mod purge;
mod reload_account;
mod show_account;
mod show_attach;
mod show_blacklist;
mod show_message;
mod show_node;
mod show_relay;
mod show_relays;
mod show_services;
mod show_session;
mod show_system;
mod show_updates;
mod show_version;
pub(super) mod trace;

use crs_admin_api::command::apply::{Reply as ApplyReply, Request as ApplyStep};
use crs_admin_api::{AdminError, Code, Impact, Reply, Request};
use crs_storage::command::control::ControlCommand;
use crs_types::AccountId;

use super::{AdminContext, errors};

/// The account's id as it was created: whoever types `POLICE` means `police`, and is told so.
fn canonical(context: &AdminContext, account: AccountId) -> AccountId {
    let control = context.store.control();
    control.account(&account).map(|stored| stored.id.clone()).unwrap_or(account)
}

/// Carries out any command but `apply` and `trace`, which belong to their connection.
pub(super) async fn run(context: &AdminContext, request: Request) -> Result<Reply, AdminError> {
    match request {
        Request::BlacklistAdd(r) => blacklist::add(context, r).await.map(Reply::BlacklistAdd),
        Request::BlacklistRemove(r) => {
            blacklist::remove(context, r).await.map(Reply::BlacklistRemove)
        }
        Request::CheckSlot(r) => Ok(Reply::CheckSlot(check_slot::run(context, &r))),
        Request::Complete(r) => Ok(Reply::Complete(complete::run(context, &r))),
        Request::CreateAccount(r) => {
            create_account::run(context, r).await.map(Reply::CreateAccount)
        }
        Request::DeleteAccount(r) => {
            delete_account::run(context, r).await.map(Reply::DeleteAccount)
        }
        Request::Doctor(r) => Ok(Reply::Doctor(doctor::run(context, &r).await)),
        Request::HealthCheck(r) => health_check::run(context, r).await.map(Reply::HealthCheck),
        Request::ListAccount(r) => list_account::run(context, &r).map(Reply::ListAccount),
        Request::LookupClient(r) => lookup_client::run(context, r).await.map(Reply::LookupClient),
        Request::PurgeClient(r) => purge::client(context, r).map(Reply::PurgeClient),
        Request::PurgeClients(r) => purge::clients(context, r).map(Reply::PurgeClients),
        Request::ReloadAccount(_) => reload_account::run(context).await.map(Reply::ReloadAccount),
        Request::ShowAccount(r) => show_account::run(context, &r).map(Reply::ShowAccount),
        Request::ShowAttach(r) => show_attach::run(context, &r).map(Reply::ShowAttach),
        Request::ShowBlacklist(r) => show_blacklist::run(context, &r).map(Reply::ShowBlacklist),
        Request::ShowMessage(r) => show_message::run(context, r).await.map(Reply::ShowMessage),
        Request::ShowNode(_) => Ok(Reply::ShowNode(show_node::run(context))),
        Request::ShowRelay(_) => show_relay::run(context).map(Reply::ShowRelay),
        Request::ShowRelays(_) => show_relays::run(context).await.map(Reply::ShowRelays),
        Request::ShowServices(_) => Ok(Reply::ShowServices(show_services::run(context))),
        Request::ShowSession(_) => Ok(Reply::ShowSession(show_session::run(context))),
        Request::ShowSystem(_) => Ok(Reply::ShowSystem(show_system::run(context))),
        Request::ShowUpdates(_) => Ok(Reply::ShowUpdates(show_updates::run(context))),
        Request::ShowVersion(_) => Ok(Reply::ShowVersion(show_version::run(context))),
        Request::Apply(_) | Request::Trace(_) => {
            Err(AdminError::new(Code::Internal, "this command belongs to its connection"))
        }
    }
}

/// What the audit log says of a request; `None` for those that leave no line.
pub(super) fn audited(request: &Request) -> Option<String> {
    let reveals = matches!(request, Request::ListAccount(list) if list.reveal);
    // Only the last step of an upload changes anything.
    let uploads =
        matches!(request, Request::Apply(ApplyStep::Begin { .. } | ApplyStep::Chunk { .. }));
    if (request.impact() == Impact::Read && !reveals) || uploads {
        return None;
    }
    let mut line = request.name().to_owned();
    let subject = match request {
        Request::Apply(ApplyStep::Finish { force: true, .. }) => Some("(forced)".to_owned()),
        Request::BlacklistAdd(r) => Some(format!("{} {}", r.account, r.uri)),
        Request::BlacklistRemove(r) => Some(format!("{} {}", r.account, r.uri)),
        Request::CreateAccount(r) => Some(r.account.to_string()),
        Request::DeleteAccount(r) => Some(r.account.to_string()),
        Request::PurgeClient(r) => Some(format!("{} {}", r.account, r.uri)),
        Request::PurgeClients(r) => Some(r.account.to_string()),
        Request::ListAccount(_) => Some("--reveal".to_owned()),
        Request::Apply(_)
        | Request::CheckSlot(_)
        | Request::Complete(_)
        | Request::Doctor(_)
        | Request::HealthCheck(_)
        | Request::LookupClient(_)
        | Request::ReloadAccount(_)
        | Request::ShowAccount(_)
        | Request::ShowAttach(_)
        | Request::ShowBlacklist(_)
        | Request::ShowMessage(_)
        | Request::ShowNode(_)
        | Request::ShowRelay(_)
        | Request::ShowRelays(_)
        | Request::ShowServices(_)
        | Request::ShowSession(_)
        | Request::ShowSystem(_)
        | Request::ShowUpdates(_)
        | Request::ShowVersion(_)
        | Request::Trace(_) => None,
    };
    if let Some(subject) = subject {
        line = format!("{line} {subject}");
    }
    Some(line)
}

/// The line of [`audited`], completed by what only the outcome tells: which account and month an
/// update file was for. An apply that only asks for a confirmation has changed nothing.
pub(super) fn audited_outcome(
    line: Option<String>,
    outcome: &Result<Reply, AdminError>,
) -> Option<String> {
    match (line, outcome) {
        (Some(_), Ok(Reply::Apply(ApplyReply::Unconfirmed { .. }))) => None,
        (Some(line), Ok(Reply::Apply(ApplyReply::Applied(applied)))) => {
            let (account, period, serial) = (&applied.account, applied.period, applied.serial);
            Some(format!("{line} {account} {period} serial {serial}"))
        }
        (line, _) => line,
    }
}

/// Proposes a command: whether it changed anything, or why not.
async fn propose(context: &AdminContext, command: ControlCommand) -> Result<bool, AdminError> {
    let confirmed = context.store.propose(command).await.map_err(|e| errors::write(&e))?;
    confirmed.reply.into_result().map_err(|e| errors::refusal(&e))
}

/// File work off the async threads.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdminError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        AdminError::new(Code::Internal, format!("work on files ended early: {error}"))
    })
}
