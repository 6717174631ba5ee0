//! A node of our own: started, killed, started again, stopped by its process id.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What the node says once it serves.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// Address for clients.
    pub client: String,
    /// Socket of crs-cli.
    pub admin_socket: PathBuf,
    /// Certificate of the pool's CA.
    pub pool_ca: PathBuf,
}

/// What is started, and where.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program.
    pub binary: PathBuf,
    /// Folder of its generated files.
    pub folder: PathBuf,
    /// Data folder, when it is not to be in `folder`.
    pub data_dir: Option<PathBuf>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    program: Program,
    child: Child,
    /// Where it serves.
    pub ready: Ready,
}

impl Node {
    /// Starts a node on loopback with everything generated; `settings` are lines of crs.conf
    /// besides the generated ones.
    pub async fn start(program: Program, settings: &[String]) -> anyhow::Result<Self> {
        let (child, ready) = spawn(&program).await?;
        let node = Self { program, child, ready };
        if settings.is_empty() { Ok(node) } else { node.with_settings(settings).await }
    }

    /// The first start has made the files: adds to the pool's and starts again.
    async fn with_settings(self, settings: &[String]) -> anyhow::Result<Self> {
        let program = self.program.clone();
        self.stop().await?;
        let path = program.folder.join("crs.conf");
        let mut text = std::fs::read_to_string(&path).context("read crs.conf")?;
        text.extend(settings.iter().map(|line| format!("{line}\n")));
        std::fs::write(&path, text).context("write crs.conf")?;
        let (child, ready) = spawn(&program).await?;
        Ok(Self { program, child, ready })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// kill -9, without a word.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill the node")
    }

    /// Starts it again on the same data and ports.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let (child, ready) = spawn(&self.program).await?;
        if ready.client != self.ready.client {
            bail!("the node came back at {} instead of {}", ready.client, self.ready.client);
        }
        self.child = child;
        Ok(())
    }

    /// Asks it to stop; kills it when it does not.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        use nix::sys::signal::{Signal, kill};
        if let Some(pid) = self.child.id() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
            kill(pid, Signal::SIGTERM).context("stop the node")?;
        }
        if timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

async fn spawn(program: &Program) -> anyhow::Result<(Child, Ready)> {
    let Program { binary, folder, data_dir } = program;
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.with_extension("err"))
        .context("open the node's error file")?;
    let mut command = Command::new(binary);
    command.arg("--dev").arg("--data").arg(folder).arg("--ready-json");
    if let Some(dir) = data_dir {
        command.arg("--set").arg(format!("data-dir {}", dir.display()));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("start {}", binary.display()))?;
    let stdout = child.stdout.take().context("the node's output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line =
        timeout(START_WITHIN, lines.next_line()).await.context("the node does not get ready")??;
    let Some(line) = line else {
        let said = std::fs::read_to_string(folder.with_extension("err")).unwrap_or_default();
        bail!("the node ended: {}", said.trim());
    };
    let ready = serde_json::from_str(&line).with_context(|| format!("node said {line}"))?;
    Ok((child, ready))
}
