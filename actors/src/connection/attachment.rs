//! A registration in force. Dropping it takes the user off the directory and tells the sessions
//! and the trace, so that neither a panic nor a kill leaves a ghost behind.

use std::sync::Arc;

use crs_proto::wire::life::UnregisteredReason;
use crs_proto::wire::word;

use crate::context::NodeContext;
use crate::directory::Registration;
use crate::services::Party;
use crate::trace::{AttachEvent, AttachState, TraceEvent};

pub(super) struct Attachment {
    context: Arc<NodeContext>,
    registration: Arc<Registration>,
    reason: UnregisteredReason,
}

impl Attachment {
    /// The registration has just been put into the directory.
    pub(super) fn new(context: Arc<NodeContext>, registration: Arc<Registration>) -> Self {
        context.metrics.connection.attached.increment(1.0);
        context.metrics.connection.attach_ok.increment(1);
        // Until another reason is set, its end is unexpected.
        let this = Self { context, registration, reason: UnregisteredReason::Error };
        this.trace(AttachState::Registered, String::new());
        this
    }

    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// As the services know it.
    pub(super) fn party(&self) -> Party {
        let r = &self.registration;
        Party {
            account: r.account.clone(),
            uri: r.uri.clone(),
            device: r.device.clone(),
            role: r.role,
            addr: r.addr,
            connection: r.handle.clone(),
        }
    }

    /// Ends the registration for a reason.
    pub(super) fn end(mut self, reason: UnregisteredReason) {
        self.reason = reason;
    }

    fn trace(&self, state: AttachState, description: String) {
        if self.context.trace.enabled() {
            let r = &self.registration;
            self.context.trace.emit(TraceEvent::Attach(AttachEvent {
                time: self.context.clock.now(),
                connection: r.connection,
                role: r.role,
                uri: r.uri.clone(),
                account: r.account.clone(),
                addr: r.addr,
                state,
                description,
            }));
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let r = &self.registration;
        // Absent already when another registration has displaced it.
        let _ = self.context.directory.remove(&r.account, &r.uri, r.connection);
        if let Some(services) = self.context.services() {
            services.sessions.detached(self.party());
        }
        self.context.metrics.connection.attached.decrement(1.0);
        match self.reason {
            UnregisteredReason::Client => {}
            UnregisteredReason::Replaced
            | UnregisteredReason::Purged
            | UnregisteredReason::Blacklisted
            | UnregisteredReason::AccountDeleted
            | UnregisteredReason::NotListed
            | UnregisteredReason::KeepaliveTimeout
            | UnregisteredReason::UpdateRequired
            | UnregisteredReason::NodeDrain
            | UnregisteredReason::Error => {
                self.context.metrics.connection.unregistered.increment(1);
            }
        }
        self.trace(AttachState::Unregistered, word(&self.reason));
    }
}
