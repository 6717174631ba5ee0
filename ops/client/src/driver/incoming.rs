//! Calls that come in: nothing rings, and nobody is told, before the offer is verified
//! (docs/protocol-e2e.md §7).

use crs_keys::call::Offer;
use crs_proto::codec::Op;
use crs_proto::session::DetailWord;
use crs_proto::wire::call::{CallState, Hangup, HangupReason, Ringing};

use super::Driver;
use super::calls::RingingCall;
use super::requests::Pending;
use crate::crypto::{self, OfferRefused};
use crate::event::{Event, IncomingCall};

impl Driver {
    /// A call for this user: it rings, is refused, or waits for the keys that are on their way.
    pub(super) fn announce(&mut self, state: CallState) {
        if !self.calls.may_ring(state.session) {
            return;
        }
        let now = self.options.clock.now();
        match crypto::open_offer(self.profile.identity(), &state, now) {
            Ok(offer) => self.ring(&state, offer),
            // The list of trusted authorities may be what the update brings.
            Err(_) if self.updates.under_way() => self.calls.set_aside(state),
            Err(refused) => self.refuse_call(&state, &refused),
        }
    }

    /// Nothing is on its way any more: looks again at what could not be verified before.
    pub(super) fn announce_again(&mut self) {
        for state in self.calls.take_unsure() {
            self.announce(state);
        }
    }

    fn ring(&mut self, state: &CallState, offer: Offer) {
        let (session, from) = (state.session, state.from.clone());
        let account = offer.caller.account.clone();
        if let Err(error) = self.recognise(&from, &account) {
            let why = error.to_string();
            let (reason, detail) = (HangupReason::Error, DetailWord::NoKeys);
            return self.refuse_call(state, &OfferRefused { reason, detail, why });
        }
        self.calls.rings(session, RingingCall { from: from.clone(), offer });
        self.requests.push(Op::Ringing(Ringing { session }), Pending::Ignored);
        self.tell(Event::Incoming(IncomingCall { session, from, account }));
    }

    /// Ends the call for this device only: another one of the same user may have the keys.
    fn refuse_call(&mut self, state: &CallState, refused: &OfferRefused) {
        let OfferRefused { reason, detail, why } = refused;
        let session = state.session;
        tracing::warn!(%session, why, "a call was refused before it rang");
        let detail = Some(detail.as_str().to_owned());
        let hangup = Hangup { session, reason: *reason, detail };
        self.requests.push(Op::Hangup(hangup), Pending::Ignored);
    }
}
