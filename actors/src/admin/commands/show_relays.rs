//! `show relays`.

use crs_admin_api::AdminError;
use crs_admin_api::command::show_relays::{RelaysRow, Reply};

use super::show_relay::no_relay;
use crate::admin::{AdminContext, RelayResource};

pub(super) async fn run(context: &AdminContext) -> Result<Reply, AdminError> {
    let relay = context.relay.as_ref().ok_or_else(no_relay)?;
    Ok(relay.resources().await.into_iter().map(row).collect())
}

fn row(resource: RelayResource) -> RelaysRow {
    let session = resource.session.map(|session| session.to_string());
    RelaysRow {
        kind: resource.kind.as_str().to_owned(),
        nodes: 1,
        last_active: resource.last_active.map_or_else(|| "never".to_owned(), |t| t.to_string()),
        identifiers: std::iter::once(resource.id.to_string()).chain(session).collect(),
        legs: format!("{}/{}", resource.bound, resource.legs),
    }
}
