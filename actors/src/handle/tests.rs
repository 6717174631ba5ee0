//! Bounded handles: refusal at the limit, calls that end, permits that outlive nobody.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::{Bounded, CallError, CastError, Gate, Handle, HandleSlot, Reply};
use crate::metrics::QueueMetrics;

struct Echo;

enum Msg {
    Ask(Reply<u32>),
    Block(oneshot::Receiver<()>),
    Forget(Reply<u32>),
    Never(Reply<u32>),
}

impl Actor for Echo {
    type Msg = Bounded<Msg>;
    type State = Vec<Reply<u32>>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        kept: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            Msg::Ask(reply) => reply.send(7),
            Msg::Block(until) => drop(until.await),
            Msg::Forget(reply) => drop(reply),
            Msg::Never(reply) => kept.push(reply),
        }
        Ok(())
    }
}

async fn echo(limit: u32) -> Handle<Msg> {
    let (actor, _) = Echo::spawn(None, Echo, ()).await.unwrap();
    Handle::new(actor, Gate::new(limit, QueueMetrics::default()))
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn the_queue_refuses_at_its_limit_and_recovers() {
    let handle = echo(3).await;
    let (go, until) = oneshot::channel();
    handle.try_cast(Msg::Block(until)).unwrap();
    // The actor takes the first message out of its queue and blocks on it.
    while handle.gate().depth() > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        handle.try_cast(Msg::Never(Reply::pair().0)).unwrap();
    }
    assert_eq!(handle.try_cast(Msg::Never(Reply::pair().0)), Err(CastError::Full));
    assert_eq!(handle.gate().depth(), 3);
    go.send(()).unwrap();
    while handle.gate().depth() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.call(Msg::Ask, LONG).await, Ok(7));
}

/// What a client sends without waiting for replies is taken in that order.
#[tokio::test(start_paused = true)]
async fn a_call_is_in_the_queue_as_soon_as_it_is_begun() {
    let handle = echo(8).await;
    let first = handle.begin(Msg::Ask, LONG);
    assert_eq!(handle.gate().depth(), 1, "before anybody waits for it");
    let second = handle.begin(Msg::Forget, LONG);
    assert_eq!(second.await, Err(CallError::Cast(CastError::Gone)));
    assert_eq!(first.await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn every_call_ends() {
    let handle = echo(8).await;
    assert_eq!(handle.call(Msg::Ask, LONG).await, Ok(7));
    assert_eq!(handle.call(Msg::Never, LONG).await, Err(CallError::Timeout));
    let gone = Err(CallError::Cast(CastError::Gone));
    assert_eq!(handle.call(Msg::Forget, LONG).await, gone);
    handle.actor().stop_and_wait(None, Some(LONG)).await.unwrap();
    assert_eq!(handle.call(Msg::Ask, LONG).await, gone);
}

#[tokio::test(start_paused = true)]
async fn a_dead_actor_gives_its_queue_back() {
    let handle = echo(2).await;
    let (_go, until) = oneshot::channel();
    handle.try_cast(Msg::Block(until)).unwrap();
    while handle.gate().depth() > 0 {
        tokio::task::yield_now().await;
    }
    handle.try_cast(Msg::Never(Reply::pair().0)).unwrap();
    handle.actor().kill_and_wait(Some(LONG)).await.unwrap();
    while handle.gate().depth() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.try_cast(Msg::Never(Reply::pair().0)), Err(CastError::Gone));
    assert_eq!(handle.gate().depth(), 0);
}

#[tokio::test]
async fn a_slot_is_empty_until_its_actor_starts() {
    let slot = HandleSlot::new();
    assert_eq!(slot.try_cast(Msg::Never(Reply::pair().0)), Err(CastError::Gone));
    slot.set(echo(1).await);
    assert_eq!(slot.get().unwrap().call(Msg::Ask, LONG).await, Ok(7));
}
