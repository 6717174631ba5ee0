//! The Unix socket: bound with its mode before anybody can see it, accepted from by one task.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crs_admin_api::protocol::{ReplyBody, ReplyFrame, encode_reply};
use crs_admin_api::{AdminError, Code};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::AdminContext;
use super::audit::Peer;
use super::connection::{AdminConnection, Arguments, CONNECTIONS_MAX};
use crate::supervisor::SupervisorHandle;

/// Read and write for the owner and the group, nothing for others.
const SOCKET_MODE: u32 = 0o660;
/// Accepting failed for lack of file descriptors, say: try again after a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another node answers there.
    #[error("{0}: another node is listening there; stop it, or give this one another socket")]
    InUse(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Binds the admin socket at `path`. A socket that a dead node left behind is replaced; one that
/// answers is not.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let refuse = |source| BindError::Io { path: path.to_path_buf(), source };
    if BlockingStream::connect(path).is_ok() {
        return Err(BindError::InUse(path.to_path_buf()));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(refuse)?;
    }
    // Bound beside and renamed, so that it never exists with other permissions.
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refuse(error)),
        Err(_) | Ok(()) => {}
    }
    let listener = UnixListener::bind(&beside).map_err(refuse)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(SOCKET_MODE)).map_err(refuse)?;
    fs::rename(&beside, path).map_err(refuse)?;
    Ok(listener)
}

/// The actor that owns the socket. It ends with a failure when accepting ends, so that its
/// supervisor starts it again.
#[derive(Debug)]
pub struct AdminListener;

/// What the listener needs.
#[derive(Debug, Clone)]
pub struct AdminListenerArguments {
    /// Where the socket is.
    pub path: PathBuf,
    /// What the commands work on.
    pub context: Arc<AdminContext>,
    /// Where connections live: a population of [`CONNECTIONS_MAX`].
    pub connections: SupervisorHandle,
}

/// The listener's state: its task ends with it, also when it is killed.
#[derive(Debug)]
pub struct Accepting {
    task: JoinHandle<()>,
    path: PathBuf,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The accept task has ended.
#[derive(Debug)]
pub struct AcceptEnded;

impl Actor for AdminListener {
    type Msg = AcceptEnded;
    type State = Accepting;
    type Arguments = AdminListenerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<AcceptEnded>,
        arguments: AdminListenerArguments,
    ) -> Result<Accepting, ActorProcessingErr> {
        let listener = bind(&arguments.path)?;
        let path = arguments.path.clone();
        let task = tokio::spawn(async move {
            let ended = TellEnd(myself);
            accept(&listener, &arguments).await;
            drop(ended);
        });
        Ok(Accepting { task, path })
    }

    async fn handle(
        &self,
        _: ActorRef<AcceptEnded>,
        _: AcceptEnded,
        _: &mut Accepting,
    ) -> Result<(), ActorProcessingErr> {
        Err("accepting admin connections ended".into())
    }

    async fn post_stop(
        &self,
        _: ActorRef<AcceptEnded>,
        state: &mut Accepting,
    ) -> Result<(), ActorProcessingErr> {
        state.task.abort();
        // Left behind, it would only be replaced by the next node.
        let _ = fs::remove_file(&state.path);
        Ok(())
    }
}

struct TellEnd(ActorRef<AcceptEnded>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        // An actor that is gone already knows.
        let _ = self.0.send_message(AcceptEnded);
    }
}

async fn accept(listener: &UnixListener, arguments: &AdminListenerArguments) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, arguments).await,
            Err(error) => {
                tracing::warn!(module = "admin", "accepting an admin connection failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Lets root and the node's own user in, as long as there is a place.
async fn admit(stream: UnixStream, arguments: &AdminListenerArguments) {
    let peer = match stream.peer_cred() {
        Ok(found) => Peer { uid: found.uid(), pid: found.pid() },
        Err(error) => return refuse(stream, nobody(&error)).await,
    };
    if !allowed(peer.uid) {
        let message = format!("user id {} may not talk to this node", peer.uid);
        return refuse(stream, AdminError::new(Code::NoPermission, message)).await;
    }
    if arguments.connections.population() >= CONNECTIONS_MAX {
        let message = format!("{CONNECTIONS_MAX} admin connections are open already");
        return refuse(stream, AdminError::new(Code::Busy, message)).await;
    }
    let child = Arguments { stream, peer, context: Arc::clone(&arguments.context) };
    if let Err(error) = arguments.connections.spawn(AdminConnection, child).await {
        tracing::warn!(module = "admin", "an admin connection did not start: {error}");
    }
}

fn allowed(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

fn nobody(error: &io::Error) -> AdminError {
    let message = format!("the system does not tell who is asking: {error}");
    AdminError::new(Code::NoPermission, message)
}

/// Says why, and closes.
async fn refuse(mut stream: UnixStream, error: AdminError) {
    let frame = ReplyFrame { id: 0, body: ReplyBody::Err(error) };
    if let Ok(line) = encode_reply(&frame) {
        // The socket's buffer takes a line; who does not read it does not need it.
        let _ = stream.try_write(&line);
        let _ = stream.shutdown().await;
    }
}
