//! `crs-client lookup`, `update` and `status`.

use std::process::ExitCode;

use crs_client::{ClientError, profile};
use crs_types::Uri;
use serde_json::json;

use super::Context;

pub(crate) async fn lookup(context: &Context, uri: Uri) -> Result<ExitCode, ClientError> {
    let client = context.attached().await?;
    let found = client.lookup(&uri).await;
    client.close().await;
    let found = found?;
    let periods: Vec<String> = found.keys.iter().map(|keys| keys.period.to_string()).collect();
    let attached = if found.attached { "attached" } else { "not attached" };
    let text =
        format!("{} of {}: {attached}, keys for {}", found.uri, found.account, periods.join(", "));
    let value = json!({
        "event": "found", "uri": found.uri.to_string(), "account": found.account,
        "attached": found.attached, "periods": periods,
    });
    context.out.say(&text, &value);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn update(context: &Context) -> Result<ExitCode, ClientError> {
    let mut options = context.options.clone();
    options.auto_update = false;
    let client = crs_client::Client::open(&context.profile, options).await?;
    let attached = client.wait_attached(context.connect_within).await;
    let result = match attached {
        Ok(()) => client.update().await,
        Err(error) => Err(error),
    };
    client.close().await;
    let periods = result?;
    let names: Vec<String> = periods.iter().map(ToString::to_string).collect();
    let text = match names.as_slice() {
        [] => "nothing new".to_owned(),
        some => format!("new keys for {}", some.join(", ")),
    };
    context.out.say(&text, &json!({ "event": "updates", "periods": names }));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn status(context: &Context) -> Result<ExitCode, ClientError> {
    let identity = profile::read_identity(&context.profile)?;
    let now = context.options.clock.now();
    let current = identity.current_keys(now);
    let mut lines = vec![
        format!("user      {} of {}", identity.uri, identity.account),
        format!("device    {}", identity.device),
        format!("servers   {}", identity.servers.join(", ")),
    ];
    for keys in &identity.keys {
        let standing = match keys.period.standing(now) {
            crs_types::period::Standing::NotYet => "not yet",
            crs_types::period::Standing::Valid => "valid",
            crs_types::period::Standing::UpdateOnly => "may only fetch updates",
            crs_types::period::Standing::Expired => "expired",
        };
        let used = if current == Some(keys) { ", in use" } else { "" };
        let kem = if keys.kem.is_some() { "" } else { ", messages need the next update" };
        let (period, generation) = (keys.period, keys.generation);
        lines.push(format!("keys      {period}, generation {generation}: {standing}{used}{kem}"));
    }
    let keys: Vec<_> = identity
        .keys
        .iter()
        .map(|keys| {
            json!({
                "period": keys.period, "generation": keys.generation, "serial": keys.serial,
                "in_use": current == Some(keys), "complete": keys.kem.is_some(),
            })
        })
        .collect();
    let value = json!({
        "event": "status", "uri": identity.uri.to_string(), "account": identity.account,
        "device": identity.device, "servers": identity.servers, "keys": keys,
    });
    context.out.say(&lines.join("\n"), &value);
    Ok(ExitCode::SUCCESS)
}
