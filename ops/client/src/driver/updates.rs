//! Key updates: fetch, verify, store (synced), then confirm.

use std::collections::BTreeSet;
use std::time::Duration;

use crs_proto::codec::{Fields, Op};
use crs_proto::wire::ErrorBody;
use crs_proto::wire::keys::{UpdateConfirm, UpdateGet, UpdateOffer, UpdatePackage};
use crs_types::{Mono, Period, Timestamp};

use super::Driver;
use super::requests::Pending;
use crate::client::command::Reply;
use crate::crypto;
use crate::error::ClientError;
use crate::event::Event;

/// Pause before a failed update is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// The shortest pause that the server may ask for.
const AGAIN_LEAST: Duration = Duration::from_millis(100);

/// The updates of a client.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// Months being fetched or confirmed.
    running: BTreeSet<Period>,
    /// Months that were stored since somebody asked.
    fresh: Vec<Period>,
    asked: Vec<Reply<Vec<Period>>>,
    offers: Vec<UpdateOffer>,
    retry_at: Option<Mono>,
    /// Months that the server could not give just then: asked for again at `retry_at`, and under
    /// way until then.
    again: BTreeSet<Period>,
    failure: Option<String>,
}

impl Updates {
    /// True while keys are on their way that messages may need.
    pub(super) fn under_way(&self) -> bool {
        !self.running.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.retry_at
    }

    pub(super) fn disconnected(&mut self) {
        self.running.clear();
        self.again.clear();
        self.retry_at = None;
        for reply in self.asked.drain(..) {
            let _ = reply.send(Err(ClientError::Disconnected));
        }
    }
}

impl Driver {
    /// The server offers months; those that are not here, or not confirmed, are taken.
    pub(super) fn offered(&mut self, offers: Vec<UpdateOffer>) {
        self.updates.offers = offers;
        if self.options.auto_update {
            self.take_offers();
        }
    }

    fn take_offers(&mut self) {
        if self.profile.identity().enrolment_key.is_none() {
            return;
        }
        for offer in self.updates.offers.clone() {
            let stored = self.profile.identity().keys.iter().any(|keys| {
                keys.kem.is_some()
                    && (keys.period, keys.generation) == (offer.period, offer.generation)
                    && keys.serial == offer.serial
            });
            if self.updates.running.contains(&offer.period) || (stored && offer.confirmed) {
                continue;
            }
            self.updates.running.insert(offer.period);
            if stored {
                self.confirm(offer.period, offer.serial);
            } else {
                let get = UpdateGet { period: offer.period };
                self.requests.push(Op::UpdateGet(get), Pending::UpdateGet(offer.period));
            }
        }
    }

    /// Only updates are allowed on this connection: fetch the month of the server's clock.
    pub(super) fn catch_up(&mut self, server_time: Timestamp) {
        let period = Period::at(server_time);
        self.updates.running.insert(period);
        self.requests.push(Op::UpdateGet(UpdateGet { period }), Pending::UpdateGet(period));
    }

    pub(super) async fn update_got(&mut self, period: Period, result: Result<Fields, ErrorBody>) {
        let package = match result.map(|fields| fields.parse::<UpdatePackage>()) {
            Ok(Ok(package)) => package,
            Ok(Err(error)) => return self.update_failed(period, &error.to_string()),
            Err(ErrorBody { retry_ms: Some(pause), .. }) => return self.again(period, pause),
            Err(error) => return self.update_failed(period, &error.text),
        };
        match self.store_package(&package).await {
            Ok(()) => {
                self.updates.fresh.push(period);
                self.confirm(period, package.serial);
                self.tell(Event::Updated { period });
            }
            Err(error) => self.update_failed(period, &error.to_string()),
        }
    }

    async fn store_package(&mut self, package: &UpdatePackage) -> Result<(), ClientError> {
        let identity = self.profile.identity();
        let now = self.options.clock.now();
        let next = crypto::take_package(identity, &package.package.0, package.serial, now)?;
        self.profile.store_identity(next).await
    }

    fn confirm(&mut self, period: Period, serial: u64) {
        let confirm = UpdateConfirm { period, serial };
        self.requests.push(Op::UpdateConfirm(confirm), Pending::UpdateConfirm(period));
    }

    pub(super) fn update_confirmed(&mut self, period: Period, ok: bool) {
        self.updates.running.remove(&period);
        if !ok {
            // The keys are stored; the next offer asks for the confirmation again.
            tracing::warn!(%period, "the server did not take the confirmation of a key update");
        }
        self.updates_settled();
    }

    /// Messages that need the keys wait meanwhile, as for any update that is under way: one that
    /// is taken without them is lost.
    fn again(&mut self, period: Period, pause_ms: u64) {
        let pause = Duration::from_millis(pause_ms).clamp(AGAIN_LEAST, RETRY);
        let at = self.options.clock.mono().plus(pause);
        self.updates.again.insert(period);
        self.updates.retry_at = Some(self.updates.retry_at.map_or(at, |other| other.min(at)));
    }

    fn update_failed(&mut self, period: Period, why: &str) {
        tracing::warn!(%period, why, "key update");
        self.updates.running.remove(&period);
        self.updates.failure = Some(why.to_owned());
        self.updates.retry_at = Some(self.options.clock.mono().plus(RETRY));
        self.updates_settled();
    }

    /// Nothing is on its way any more: calls may ring, messages may flow, whoever asked is told, and a
    /// connection that could do nothing else is made anew with the new certificate.
    fn updates_settled(&mut self) {
        if self.updates.under_way() {
            return;
        }
        self.announce_again();
        let failure = self.updates.failure.take();
        let fresh = std::mem::take(&mut self.updates.fresh);
        for reply in self.updates.asked.drain(..) {
            let failed =
                |why: &String| ClientError::Crypto { what: "key update", why: why.clone() };
            let _ = reply.send(failure.as_ref().map_or(Ok(fresh.clone()), |why| Err(failed(why))));
        }
        let attached = self.online.as_ref().is_some_and(|online| online.attached);
        match (attached, fresh.is_empty()) {
            (true, _) => {
                self.mail_attached();
                self.month_change();
            }
            (false, false) => self.lost_with("new keys", Some(Duration::ZERO)),
            (false, true) => {
                let why = failure.unwrap_or_else(|| "key update required".to_owned());
                self.lost_with(&why, Some(RETRY));
            }
        }
    }

    pub(super) fn update_asked(&mut self, reply: Reply<Vec<Period>>) {
        if self.online.is_none() {
            let _ = reply.send(Err(ClientError::Disconnected));
            return;
        }
        self.updates.asked.push(reply);
        self.take_offers();
        if !self.updates.under_way() {
            self.updates_settled();
        }
    }

    pub(super) fn updates_tick(&mut self, now: Mono) {
        if self.updates.retry_at.is_some_and(|at| now >= at) {
            self.updates.retry_at = None;
            for period in std::mem::take(&mut self.updates.again) {
                let get = Op::UpdateGet(UpdateGet { period });
                self.requests.push(get, Pending::UpdateGet(period));
            }
            if self.options.auto_update {
                self.take_offers();
            }
        }
    }
}
