//! Listener, relay, certificate, notification script.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crs_admin_api::command::doctor::Check;
use tokio::net::TcpStream;

use super::{fail, ok, warn};
use crate::admin::AdminContext;

const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
const DAY: u64 = 86_400;
const GROUP: &str = "node";

/// Connects to the client port as a client would.
pub(super) async fn listener(context: &AdminContext) -> Check {
    let mut reached = Vec::new();
    for addr in &context.facts.listen {
        let connected = tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(addr)).await;
        match connected {
            Ok(Ok(_)) => reached.push(addr.to_string()),
            Ok(Err(_)) | Err(_) => {
                let check = ok(GROUP, "listener", format!("{addr} does not accept"));
                let cause = "clients cannot connect to the port";
                return fail(check, cause, "journalctl -u crs -n 50");
            }
        }
    }
    ok(GROUP, "listener", format!("accepts at {}", reached.join(", ")))
}

pub(super) fn relay(context: &AdminContext) -> Check {
    match &context.relay {
        Some(relay) if relay.running() => ok(GROUP, "relay", "forwards media"),
        Some(_) => {
            let cause = "a relay thread has ended; it is started again";
            fail(ok(GROUP, "relay", "does not forward"), cause, "journalctl -u crs -n 50")
        }
        None => {
            let cause = "calls have no media on this node";
            warn(ok(GROUP, "relay", "switched off"), cause, "crs-node check")
        }
    }
}

/// Nodes renew their certificates by themselves; one that ends soon was not renewed.
pub(super) fn certificate(context: &AdminContext) -> Check {
    let Some(end) = context.facts.certificate_end else {
        return ok(GROUP, "certificate", "given from outside");
    };
    let left = end.since(context.now()).as_secs() / DAY;
    let check = ok(GROUP, "certificate", format!("valid until {end}, {left} days"));
    let cause =
        "clients refuse the node when its certificate has ended; a restart issues a new one";
    let fix = "systemctl restart crs";
    match left {
        0..=1 => fail(check, cause, fix),
        2..=7 => warn(check, cause, fix),
        _ => check,
    }
}

pub(super) fn notify_script(context: &AdminContext) -> Check {
    let name = "notify-script";
    let Some(path) = &context.facts.notify_script else {
        return ok(GROUP, name, "none configured");
    };
    let shown = path.display();
    let fix = format!("chmod 750 {shown}");
    match std::fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o111 != 0 => ok(GROUP, name, shown.to_string()),
        Ok(_) => {
            let check = ok(GROUP, name, format!("{shown} is not executable"));
            warn(check, "system events reach nobody", &fix)
        }
        Err(error) => {
            let check = ok(GROUP, name, format!("{shown}: {error}"));
            warn(check, "system events reach nobody", "crs-node check")
        }
    }
}
