//! `show message`.

use crs_admin_api::AdminError;
use crs_admin_api::command::show_message::{MessageRow, Reply, Request};

use crate::admin::{AdminContext, errors};

pub(super) async fn run(context: &AdminContext, request: Request) -> Result<Reply, AdminError> {
    if let Some(id) = &request.account
        && context.store.control().account(id).is_none()
    {
        return Err(errors::no_account(id));
    }
    let counters = context.store.counters(request.account).await.map_err(|e| errors::read(&e))?;
    Ok(counters
        .into_iter()
        // Temporary clients of the health check never count.
        .filter(|line| !line.user.uri.is_test_client())
        .map(|line| MessageRow {
            uri: line.user.uri.to_string(),
            post: line.posted,
            deliv: line.delivered,
            read: line.read.map_or_else(|| "never".to_owned(), |time| time.to_string()),
            account: line.user.account,
            waiting: line.waiting,
        })
        .collect())
}
