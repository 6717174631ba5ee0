//! The actor that owns one listening socket's accept loop.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::accept::{self, ListenerShared};
use crate::handle::{Bounded, Gate, Handle};

/// A listener; transient: restarted on the same socket when its loop fails.
#[derive(Debug)]
pub struct ClientListener;

/// Messages to a listener. It is stopped by its supervisor.
#[derive(Debug)]
pub enum ListenerMsg {
    /// The accept loop has ended, which it never does by itself.
    Ended(String),
}

/// A bound socket and what its connections need.
#[derive(Clone)]
pub struct ListenerArguments {
    /// The socket; it stays bound when the actor is restarted.
    pub socket: Arc<TcpListener>,
    /// Shared by all listeners.
    pub shared: Arc<ListenerShared>,
}

/// The running loop; aborted when the actor ends, however it ends.
pub struct Accepting(JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for ClientListener {
    type Msg = Bounded<ListenerMsg>;
    type State = Accepting;
    type Arguments = ListenerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: ListenerArguments,
    ) -> Result<Accepting, ActorProcessingErr> {
        let mailbox = arguments.shared.context.metrics.service_mailbox.clone();
        let handle = Handle::new(myself, Gate::new(1, mailbox));
        let ListenerArguments { socket, shared } = arguments;
        let accepting = tokio::spawn(async move {
            let looping = tokio::spawn(accept::run(socket, shared));
            // Aborting the outer task must end the inner one too.
            let inner = AbortOnDrop(looping.abort_handle());
            let why = match looping.await {
                Ok(error) => error.to_string(),
                Err(error) => error.to_string(),
            };
            drop(inner);
            let _ = handle.try_cast(ListenerMsg::Ended(why));
        });
        Ok(Accepting(accepting))
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        _: &mut Accepting,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            ListenerMsg::Ended(why) => Err(format!("the accept loop ended: {why}").into()),
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
