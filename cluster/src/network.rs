//! The Raft network of a pool of one: every peer is unreachable.

use std::future::Future;

use openraft::error::{
    Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable as PeerUnreachable,
};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetwork, RaftNetworkFactory, RaftTypeConfig, Snapshot, Vote};

/// A network without peers. A group of one voter never calls it; a group with more gets
/// "unreachable" for each, so it waits for a majority instead of inventing one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unreachable;

/// There is no link to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node has no link to its peers")]
pub struct NoLink;

impl<C: RaftTypeConfig> RaftNetworkFactory<C> for Unreachable {
    type Network = Self;

    async fn new_client(&mut self, _target: C::NodeId, _node: &C::Node) -> Self {
        Self
    }
}

impl<C: RaftTypeConfig> RaftNetwork<C> for Unreachable {
    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<C>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<C::NodeId>, RPCError<C::NodeId, C::Node, RaftError<C::NodeId>>>
    {
        Err(RPCError::Unreachable(PeerUnreachable::new(&NoLink)))
    }

    async fn vote(
        &mut self,
        _rpc: VoteRequest<C::NodeId>,
        _option: RPCOption,
    ) -> Result<VoteResponse<C::NodeId>, RPCError<C::NodeId, C::Node, RaftError<C::NodeId>>> {
        Err(RPCError::Unreachable(PeerUnreachable::new(&NoLink)))
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote<C::NodeId>,
        _snapshot: Snapshot<C>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<C::NodeId>, StreamingError<C, Fatal<C::NodeId>>> {
        Err(StreamingError::Unreachable(PeerUnreachable::new(&NoLink)))
    }
}
