//! `crs-client enrol`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crs_client::{ClientError, profile};
use crs_types::{DeviceId, OsRng};
use serde_json::json;

use super::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle (such as alice.crsenrol), or a file with the text of its QR code; `-` reads standard input
    bundle: PathBuf,
    /// Its PIN; asked for when absent
    #[arg(long, env = "CRS_PIN", hide_env_values = true)]
    pin: Option<String>,
    /// Name of this device [default: a random one]
    #[arg(long, value_parser = |text: &str| DeviceId::parse(text))]
    device: Option<DeviceId>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<ExitCode, ClientError> {
    let path = context.profile.clone();
    let clock = context.options.clock.clone();
    let work = tokio::task::spawn_blocking(move || {
        let Args { bundle, pin, device } = args;
        let content = read(&bundle)?;
        let pin = match pin {
            Some(pin) => pin,
            None => ask()?,
        };
        profile::enrol::enrol(&path, &content, &pin, device, &*clock, &mut OsRng)
    });
    let identity = work.await.map_err(|_| ClientError::Closed)??;
    let text = format!(
        "{} of {} is enrolled in {} as device {}; next: {}",
        identity.uri,
        identity.account,
        context.profile.display(),
        identity.device,
        context.out.command("run"),
    );
    let value = json!({
        "event": "enrolled", "uri": identity.uri.to_string(), "account": identity.account,
        "device": identity.device, "servers": identity.servers,
        "profile": context.profile.display().to_string(),
    });
    context.out.say(&text, &value);
    Ok(ExitCode::SUCCESS)
}

fn read(bundle: &PathBuf) -> Result<Vec<u8>, ClientError> {
    use std::io::Read;
    let limit = 2 * crs_keys::bundle::BUNDLE_MAX as u64;
    let mut content = Vec::new();
    let read = if bundle.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut content)
    } else {
        std::fs::File::open(bundle).and_then(|file| file.take(limit).read_to_end(&mut content))
    };
    match read {
        Ok(_) => Ok(content),
        Err(error) => Err(unreadable(bundle, &error)),
    }
}

/// Says which file was meant, and where it would come from.
fn unreadable(bundle: &Path, error: &std::io::Error) -> ClientError {
    let shown = bundle.display();
    let what = if error.kind() == std::io::ErrorKind::NotFound {
        format!("there is no file {shown}")
    } else {
        format!("{shown} cannot be read: {error}")
    };
    let why = format!(
        "{what}; name the file (such as alice.crsenrol) that the CMS administrator handed over, \
         or - and paste the text of its QR code"
    );
    ClientError::Crypto { what: "enrolment bundle", why }
}

fn ask() -> Result<String, ClientError> {
    if !std::io::stdin().is_terminal() {
        let why = "no PIN, and no terminal to ask for it: give --pin or set CRS_PIN";
        return Err(ClientError::Usage(why.to_owned()));
    }
    // Nobody who looks over the shoulder or at a recorded terminal is to have it.
    let line = rpassword::prompt_password("PIN (is not shown): ")?;
    match line.trim() {
        "" => Err(ClientError::Usage("no PIN was typed: it came with the bundle".to_owned())),
        pin => Ok(pin.to_owned()),
    }
}
