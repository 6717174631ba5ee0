//! The bed of a test: a node (ours or a running one) and users that may attach.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::files::Folder;
use super::node::{Node, Program};
use super::users::Users;
use crate::cli::Common;

/// Everything a load runs against.
#[derive(Debug)]
pub struct Bed {
    /// The users.
    pub users: Users,
    /// The server's address for clients.
    pub server: String,
    /// Our own node, when we started one.
    pub node: Option<Node>,
    pid: Option<u32>,
    bin: PathBuf,
    folder: Folder,
}

impl Bed {
    /// Starts what is to be started and makes `users` users. `settings` are directives for a
    /// node of our own.
    pub async fn make(common: &Common, users: usize, settings: &[String]) -> anyhow::Result<Self> {
        let bin = match &common.bin_dir {
            Some(dir) => dir.clone(),
            None => beside_us()?,
        };
        let folder = Folder::new(common.keep)?;
        if common.spawn > 0 {
            return Self::spawn(common, bin, folder, users, settings).await;
        }
        let (Some(server), Some(domain)) = (&common.server, &common.domain) else {
            bail!("give --spawn 1, or --server and --domain of a running node");
        };
        let export = export(&bin, domain, folder.path(), Some(server)).await?;
        if export.identities.len() < users {
            bail!("the domain has {} users, {users} are needed", export.identities.len());
        }
        let server = server.clone();
        Ok(Self { users: export, server, node: None, pid: common.pid, bin, folder })
    }

    async fn spawn(
        common: &Common,
        bin: PathBuf,
        folder: Folder,
        users: usize,
        settings: &[String],
    ) -> anyhow::Result<Self> {
        let program = Program {
            binary: bin.join("crs-node"),
            folder: folder.path().join("node"),
            data_dir: common.data_dir.clone(),
        };
        let node = Node::start(program, settings).await?;
        let domain = folder.path().join("domain");
        make_domain(&bin, &node, folder.path(), &domain, users).await?;
        let export = export(&bin, &domain, folder.path(), None).await?;
        let (server, pid) = (node.ready.client.clone(), Some(node.pid()));
        Ok(Self { users: export, server, node: Some(node), pid, bin, folder })
    }

    /// Process id of the server, to measure it.
    pub fn pid(&self) -> Option<u32> {
        self.node.as_ref().map(Node::pid).or(self.pid)
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs crs-cli against our own node.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let node = self.node.as_ref().context("crs-cli needs a node of our own")?;
        cli(&self.bin, node, arguments).await
    }

    /// Ends the node.
    pub async fn end(self) -> anyhow::Result<()> {
        match self.node {
            Some(node) => node.stop().await,
            None => Ok(()),
        }
    }
}

/// Where the other programs are: in the folder of this one.
fn beside_us() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("find this program")?;
    Ok(me.parent().context("this program has no folder")?.to_owned())
}

async fn make_domain(
    bin: &Path,
    node: &Node,
    folder: &Path,
    domain: &Path,
    users: usize,
) -> anyhow::Result<()> {
    let created =
        cli(bin, node, &["--output", "json", "create", "account", "load", "-B32"]).await?;
    let created: serde_json::Value =
        serde_json::from_slice(&created).context("crs-cli's answer")?;
    let secret = find(&created, "shared_secret").context("crs-cli printed no secret")?;
    let secret_file = folder.join("secret.txt");
    std::fs::write(&secret_file, secret)?;
    let mut init = Command::new(bin.join("crs-cms"));
    init.args(["init", "--account", "load", "--secret-file"]).arg(&secret_file);
    init.arg("--server").arg(&node.ready.client).arg("--server-ca").arg(&node.ready.pool_ca);
    run(init.arg(domain)).await?;
    let numbers: String = (0..users).map(|n| format!("+4670{n:07}\n")).collect();
    let list = folder.join("numbers.txt");
    std::fs::write(&list, numbers)?;
    run(cms(bin, domain).args(["user", "add", "--from"]).arg(&list)).await?;
    let update = folder.join("month.upd");
    run(cms(bin, domain).args(["update", "create", "-o"]).arg(&update)).await?;
    let print = run(cms(bin, domain).args(["--output", "json", "fingerprint"])).await?;
    let print: serde_json::Value = serde_json::from_slice(&print).context("crs-cms' answer")?;
    let print = find(&print, "fingerprint").context("crs-cms printed no fingerprint")?;
    let update = update.display().to_string();
    cli(bin, node, &["apply", &update, "--confirm-fingerprint", &print]).await?;
    Ok(())
}

async fn export(
    bin: &Path,
    domain: &Path,
    folder: &Path,
    server: Option<&str>,
) -> anyhow::Result<Users> {
    let file = folder.join("users.jsonl");
    run(cms(bin, domain).args(["loadtest-export", "-o"]).arg(&file)).await?;
    let text = std::fs::read_to_string(&file)?;
    Users::parse(&text, server)
}

fn cms(bin: &Path, domain: &Path) -> Command {
    let mut command = Command::new(bin.join("crs-cms"));
    command.arg("--dir").arg(domain);
    command
}

async fn cli(bin: &Path, node: &Node, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new(bin.join("crs-cli"));
    command.arg("--socket").arg(&node.ready.admin_socket).args(arguments);
    run(&mut command).await
}

async fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let what = format!("{:?}", command.as_std().get_program());
    let done = command.kill_on_drop(true).output().await.with_context(|| format!("run {what}"))?;
    if !done.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(done.stdout)
}

/// The text of a field, wherever it is.
pub fn find(value: &serde_json::Value, name: &str) -> Option<String> {
    match value {
        serde_json::Value::Object(fields) => match fields.get(name) {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(_) | None => fields.values().find_map(|inner| find(inner, name)),
        },
        serde_json::Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => None,
    }
}
