//! `crs-client contacts`: which account each contact is known by, and accepting another one.

use std::process::ExitCode;

use crs_client::{ClientError, profile};
use crs_types::{AccountId, Uri};
use serde_json::{Value, json};

use super::Context;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Accept {
    /// Accepts that a contact is of this account from now on
    #[command(after_help = "Examples:\n  crs-client contacts accept +46701234567 police")]
    Accept {
        /// The contact
        uri: Uri,
        /// Its account
        #[arg(value_parser = |text: &str| AccountId::parse(text))]
        account: AccountId,
    },
}

pub(crate) async fn run(
    context: &Context,
    accept: Option<Accept>,
) -> Result<ExitCode, ClientError> {
    let path = context.profile.clone();
    let work = tokio::task::spawn_blocking(move || match accept {
        None => {
            let contacts = profile::contacts::list(&path)?;
            Ok((table(&contacts), value(&contacts)))
        }
        Some(Accept::Accept { uri, account }) => {
            profile::contacts::accept(&path, &uri, &account)?;
            let value = json!({
                "event": "contact-accepted", "uri": uri.to_string(), "account": account,
            });
            Ok::<_, ClientError>((accepted(&uri, &account), value))
        }
    });
    let (text, value) = work.await.map_err(|_| ClientError::Closed)??;
    context.out.say(&text, &value);
    Ok(ExitCode::SUCCESS)
}

/// One contact a line.
pub(crate) fn table(contacts: &[(Uri, AccountId)]) -> String {
    let lines: Vec<_> = contacts.iter().map(|(uri, account)| format!("{uri}  {account}")).collect();
    if lines.is_empty() { "no contacts yet".to_owned() } else { lines.join("\n") }
}

/// The same for programs.
pub(crate) fn value(contacts: &[(Uri, AccountId)]) -> Value {
    let row =
        |(uri, account): &(Uri, AccountId)| json!({ "uri": uri.to_string(), "account": account });
    json!({ "event": "contacts", "contacts": contacts.iter().map(row).collect::<Vec<_>>() })
}

pub(crate) fn accepted(uri: &Uri, account: &AccountId) -> String {
    format!("{uri} is of account {account} from now on")
}
