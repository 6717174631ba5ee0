//! `create account`: seals the secret, stores the account, makes its directory.

use crs_admin_api::command::create_account::{Reply, Request};
use crs_admin_api::{AdminError, Code, SecretText};
use crs_keys::update::CmsPublicKey;
use crs_storage::command::Sealed;
use crs_storage::command::control::{ControlCommand, CreateAccount};
use crs_types::limits::{ACCOUNT_SECRET_MAX, ACCOUNT_SECRET_MIN};
use crs_types::{AccountId, OsRng, Secret, shell};

use super::{blacklist, canonical, on_disk, propose};
use crate::admin::{AdminContext, errors, files};

/// Length of a secret that is made here unless another was asked for (C-273).
const DEFAULT_BYTES: usize = 16;

pub(super) async fn run(context: &AdminContext, request: Request) -> Result<Reply, AdminError> {
    let Request { account, secret: given, bytes, cms_key } = request;
    let cms_key = cms_key.as_deref().map(public_key).transpose()?;
    let secret = secret(given.as_ref(), bytes)?;
    let command = CreateAccount {
        id: account.clone(),
        secret: seal(context, &account, &secret)?,
        cms_key: cms_key.map(|key| key.0.to_vec()),
        time: context.now(),
    };
    let created = propose(context, ControlCommand::CreateAccount(command)).await;
    created.map_err(|error| {
        exists_already(error, &canonical(context, account.clone()), cms_key.as_ref())
    })?;
    context.loaded().await;
    let (root, id) = (context.facts.accounts_dir.clone(), account.clone());
    let path = files::directory(&root, &account);
    let made = on_disk(move || files::create(&root, &id)).await?;
    made.map_err(|error| errors::file(&path, &error))?;
    blacklist::mirror(context, &account).await?;
    Ok(Reply {
        id: account,
        path: path.display().to_string(),
        shared_secret: match given {
            Some(_) => SecretText::masked(),
            None => SecretText::new(secret.to_base64().as_str()),
        },
        cms_key: cms_key.map_or_else(not_pinned, |key| key.fingerprint()),
    })
}

/// Whoever names a CMS key for an account that is there wants to have it confirmed.
fn exists_already(
    error: AdminError,
    account: &AccountId,
    cms_key: Option<&CmsPublicKey>,
) -> AdminError {
    let Some(key) = cms_key.filter(|_| error.is(Code::AccountExists)) else { return error };
    let message = format!("account {account} exists already; nothing was changed");
    let hint = format!(
        "use it as it is: its CMS key is confirmed with its first update file: \
         `crs-cli apply FILE --confirm-fingerprint {}`",
        shell::word(&key.fingerprint())
    );
    AdminError::with_hint(Code::AccountExists, message, hint)
}

/// What stands where no CMS key is pinned.
pub(super) fn not_pinned() -> String {
    "not pinned yet".to_owned()
}

/// The record's name, to which its sealed secret is bound.
pub(super) fn seal_context(account: &AccountId) -> String {
    format!("account/{}/secret", account.folded())
}

fn public_key(text: &str) -> Result<CmsPublicKey, AdminError> {
    text.parse().map_err(|error| {
        let hint = "it is the line \"CMS key\" of crs-cms fingerprint";
        AdminError::with_hint(Code::Usage, format!("--cms-key: {error}"), hint)
    })
}

fn secret(given: Option<&SecretText>, bytes: Option<u16>) -> Result<Secret, AdminError> {
    let refuse = |why: String| Err(AdminError::new(Code::BadSecret, why));
    let length = |found: usize| {
        format!(
            "a shared secret of {found} bytes, expected {ACCOUNT_SECRET_MIN} to {ACCOUNT_SECRET_MAX}"
        )
    };
    let fits = |length: usize| (ACCOUNT_SECRET_MIN..=ACCOUNT_SECRET_MAX).contains(&length);
    match (given, bytes.map(usize::from)) {
        (Some(_), Some(_)) => refuse("a given secret has the length it has".to_owned()),
        (Some(text), None) => match Secret::from_base64(text.expose()) {
            None => refuse("the shared secret is not base64".to_owned()),
            Some(secret) if !fits(secret.len()) => refuse(length(secret.len())),
            Some(secret) => Ok(secret),
        },
        (None, Some(bytes)) if !fits(bytes) => refuse(length(bytes)),
        (None, bytes) => Ok(Secret::generate(&mut OsRng, bytes.unwrap_or(DEFAULT_BYTES))),
    }
}

fn seal(
    context: &AdminContext,
    account: &AccountId,
    secret: &Secret,
) -> Result<Sealed, AdminError> {
    let sealed = context.sealer.seal(&seal_context(account), secret, &mut OsRng);
    sealed.map(Sealed::from).map_err(|error| AdminError::new(Code::Internal, error.to_string()))
}
