//! `crs-client export`: certificate, key and server CA as PEM, for programs with another TLS.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_client::{ClientError, ServerTrust, profile};
use crs_keys::p256::SigningKey;
use serde_json::json;

use super::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for cert.pem, key.pem, ca.pem and client.json
    #[arg(long, value_name = "DIR")]
    pem: PathBuf,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, ClientError> {
    let identity = profile::read_identity(&context.profile)?;
    let no_keys = || ClientError::Profile {
        path: context.profile.clone(),
        why: "holds no keys: enrol again".to_owned(),
    };
    let keys = identity.current_keys(context.options.clock.now()).ok_or_else(no_keys)?;
    let key = SigningKey::from_scalar(keys.sign_key.expose())
        .and_then(|key| key.to_pkcs8())
        .map_err(|e| ClientError::Crypto { what: "own key", why: e.to_string() })?;
    fs::create_dir_all(&args.pem)?;
    let (ServerTrust::PoolCa(roots) | ServerTrust::PublicPki { roots, .. }) = &identity.trust;
    let ca: String = roots.iter().map(|root| pem("CERTIFICATE", root)).collect();
    write(&args.pem.join("cert.pem"), &pem("CERTIFICATE", &keys.sign_cert), 0o644)?;
    write(&args.pem.join("key.pem"), &pem("PRIVATE KEY", key.secret_der()), 0o600)?;
    write(&args.pem.join("ca.pem"), &ca, 0o644)?;
    let about = json!({
        "account": identity.account, "uri": identity.uri, "device": identity.device,
        "servers": identity.servers, "period": keys.period, "generation": keys.generation,
    });
    write(&args.pem.join("client.json"), &format!("{about}\n"), 0o644)?;
    let folder = args.pem.display();
    let text = format!("cert.pem, key.pem, ca.pem and client.json are in {folder}");
    context.out.say(&text, &json!({ "event": "exported", "folder": folder.to_string() }));
    Ok(ExitCode::SUCCESS)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|c| std::str::from_utf8(c).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), ClientError> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
