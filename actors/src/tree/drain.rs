//! The way out of a node, in order: deny attaches, let calls end, stop accepting, ask clients to
//! move, stop the actors leaves first, close the store last.

use std::time::Duration;

use crs_proto::wire::life::UnregisteredReason;

use super::Node;
use crate::context::DrainState;
use crate::supervisor::SupervisorHandle;

/// How long actors of one kind may take to stop before they are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the store may take to write its tables back.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the node looks whether it is idle.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Clients asked to move per step of the spread.
const CLIENTS_PER_STEP: usize = 50;

/// How a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainPlan {
    /// How long calls may go on.
    pub calls: Duration,
    /// Over how long clients are asked to move, so that they do not all reconnect at once.
    pub spread: Duration,
}

impl DrainPlan {
    /// Waits for nobody.
    pub const NOW: Self = Self { calls: Duration::ZERO, spread: Duration::ZERO };
}

pub(super) async fn drain(node: &Node, plan: DrainPlan) {
    node.context.set_drain_state(DrainState::Draining);
    // The listeners go on meanwhile: a client that comes now is told `node-drain` at once, where a
    // port that nobody serves would leave it to its time-out.
    let calls = || node.sessions.open_count() > 0;
    idle(calls, plan.calls).await;
    stop(&node.supervisors.listeners, "listeners").await;
    node.context.set_drain_state(DrainState::Stopping);
    // What still rings or talks hears `shutdown`, over connections that are still there.
    stop(&node.supervisors.sessions, "session_sup").await;
    release_clients(node, plan.spread).await;
}

pub(super) async fn close(node: Node) {
    node.context.set_drain_state(DrainState::Stopping);
    let Node { supervisors, relay, store, .. } = node;
    stop(&supervisors.listeners, "listeners").await;
    stop(&supervisors.sessions, "session_sup").await;
    stop(&supervisors.connections, "connection_sup").await;
    stop(&supervisors.admin, "admin_sup").await;
    if let Some(relay) = relay {
        stop(relay.supervisor(), "relay_sup").await;
    }
    if supervisors.store.is_running() {
        // The guard closes the store, after everything that uses it.
        if let Err(error) = supervisors.store.drain(STORE_TIMEOUT).await {
            tracing::warn!(%error, "the store was not closed in order");
        }
    } else {
        store.close().await;
    }
    stop(&supervisors.root, "root").await;
}

/// Waits until no call is left, at most `limit`.
async fn idle(calls: impl Fn() -> bool, limit: Duration) {
    let look = async {
        while calls() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(limit, look).await.is_err() {
        tracing::info!("the drain does not wait for calls any longer");
    }
}

/// Unregisters everybody, some at a time, and waits a little until the connections are closed.
async fn release_clients(node: &Node, spread: Duration) {
    let all = node.context.directory.snapshot();
    let steps = u32::try_from(all.len().div_ceil(CLIENTS_PER_STEP)).unwrap_or(u32::MAX).max(1);
    for step in all.chunks(CLIENTS_PER_STEP) {
        for registration in step {
            // A client that cannot be told is cut.
            let _ = registration.handle.unregister(UnregisteredReason::NodeDrain);
        }
        tokio::time::sleep(spread / steps).await;
    }
    // Those who never registered are in no directory.
    node.context.crowd.close_all();
    let closed = async {
        while node.context.directory.count() > 0 || node.supervisors.connections.population() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(STOP_TIMEOUT, closed).await;
}

/// Drains one branch; a branch that was drained before is left alone.
async fn stop(branch: &SupervisorHandle, name: &str) {
    if !branch.is_running() {
        return;
    }
    if let Err(error) = branch.drain(STOP_TIMEOUT).await {
        tracing::warn!(branch = name, %error, "not stopped in order");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_that_go_on_are_waited_for_no_longer_than_the_limit() {
        let limit = Duration::from_secs(120);
        let began = Instant::now();
        idle(|| true, limit).await;
        assert_eq!(began.elapsed().as_secs(), limit.as_secs());
        let left = Cell::new(3);
        idle(|| left.replace(left.get() - 1) > 0, limit).await;
        assert!(began.elapsed() < limit + Duration::from_secs(1), "the last call has ended");
    }
}
