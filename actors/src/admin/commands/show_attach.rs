//! `show attach`.

use crs_admin_api::AdminError;
use crs_admin_api::command::show_attach::{AttachRow, Reply, Request};
use crs_types::Timestamp;

use crate::admin::{AdminContext, errors};
use crate::directory::{KeyExchange, Registration};
use crate::trace::role;

pub(super) fn run(context: &AdminContext, request: &Request) -> Result<Reply, AdminError> {
    let now = context.now();
    let registrations = match &request.account {
        None => context.node.directory.snapshot(),
        Some(id) if context.store.control().account(id).is_none() => {
            return Err(errors::no_account(id));
        }
        Some(id) => context.node.directory.of_account(id),
    };
    Ok(registrations.iter().map(|registration| row(registration, now)).collect())
}

fn row(registration: &Registration, now: Timestamp) -> AttachRow {
    let key_exchange = match registration.key_exchange {
        KeyExchange::Hybrid => "X25519MLKEM768",
        KeyExchange::Classical => "X25519",
    };
    AttachRow {
        uri: registration.uri.to_string(),
        account: registration.account.clone(),
        time: now.since(registration.since).as_secs(),
        version: registration.version.to_string(),
        ip_port: registration.addr.to_string(),
        crs: registration.node.to_string(),
        key_exchange: key_exchange.to_owned(),
        role: role(registration.role).to_owned(),
        device: registration.device.to_string(),
        connection: registration.connection.0,
    }
}
