//! One actor per allocation: its life is the allocation's life.

use crs_relay::RelayEvent;
use crs_types::{AllocationId, SessionId};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::control::{RelayMsg, RelayOwner};
use crate::handle::Bounded;

/// Messages that may wait for one allocation's actor.
pub(super) const ALLOCATION_QUEUE: u32 = 16;

/// What an allocation's actor takes.
#[derive(Debug, Clone, Copy)]
pub enum AllocationMsg {
    /// The data plane reports something about it.
    Event(RelayEvent),
    /// The session, the operator or the relay has ended it.
    End,
}

#[derive(Debug)]
pub(super) struct AllocationActor;

#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) id: AllocationId,
    pub(super) session: SessionId,
    pub(super) owner: RelayOwner,
}

#[derive(Debug)]
pub(super) struct State {
    arguments: Arguments,
    expired: u8,
}

/// Also when the actor was killed: the data plane must not keep what nobody owns.
impl Drop for State {
    fn drop(&mut self) {
        self.arguments.owner.free(RelayMsg::Free(self.arguments.id));
    }
}

impl Actor for AllocationActor {
    type Msg = Bounded<AllocationMsg>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { arguments, expired: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            AllocationMsg::Event(event) => {
                if state.event(event) {
                    myself.stop(None);
                }
            }
            AllocationMsg::End => myself.stop(None),
        }
        Ok(())
    }
}

impl State {
    /// True when the allocation is over.
    fn event(&mut self, event: RelayEvent) -> bool {
        let Arguments { id, session, owner: _ } = &self.arguments;
        match event {
            RelayEvent::Bound { leg, .. } => {
                tracing::info!(allocation = %id, %session, %leg, "leg bound");
            }
            RelayEvent::ConsentLost { leg, .. } => {
                tracing::info!(allocation = %id, %session, %leg, "leg lost: no answer for 30 s");
            }
            RelayEvent::AddressTaken { leg, .. } => {
                tracing::info!(allocation = %id, %session, %leg, "leg refused: address taken");
            }
            RelayEvent::Expired { leg, .. } => {
                tracing::info!(allocation = %id, %session, %leg, "leg expired unbound");
                self.expired += 1;
            }
            RelayEvent::ThreadDown { .. } => {}
        }
        self.expired >= 2
    }
}
