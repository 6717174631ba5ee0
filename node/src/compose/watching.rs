//! The node's watch over itself: reads clocks, accounts, certificates and configuration, and tells
//! log, notification script and `doctor` what [`crate::watch`] makes of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crs_actors::accounts::AccountsView;
use crs_actors::admin::{ShownCertificate, Watched};
use crs_keys::server_cert;
use crs_ops::SystemEvent;
use crs_types::{AccountId, BlobHash, Clock, Timestamp};

use super::Base;
use crate::watch::{ClockWatch, Drift, DriftNews, DriftWatch, ExpiryWatch, Reading, UpdateWatch};

/// The watch, and what it has found for `doctor`.
#[derive(Default)]
pub(super) struct Watching {
    clock: ClockWatch,
    updates: UpdateWatch,
    expiry: ExpiryWatch,
    drift: DriftWatch,
    /// For each account: its newest update, and the latest end of the CA certificates in it.
    authorities: BTreeMap<AccountId, (BlobHash, Option<Timestamp>)>,
    watched: Arc<Watched>,
}

impl Watching {
    /// Where `doctor` finds what was found.
    pub(super) fn watched(&self) -> Arc<Watched> {
        Arc::clone(&self.watched)
    }

    /// Looks at everything but the configuration.
    pub(super) fn look(&mut self, base: &Base, view: &AccountsView, shown: ShownCertificate) {
        self.look_at_clock(base);
        self.look_at_updates(base, view);
        self.look_at_certificates(base, view, shown);
    }

    fn look_at_clock(&mut self, base: &Base) {
        let Some(jump) = self.clock.look(read(&*base.clock)) else { return };
        tracing::warn!(module = "clock", "{jump}: is time synchronisation running?");
        let at = base.clock.now();
        self.watched.update(|found| found.clock_jump = Some((at, jump.to_string())));
        base.notifier.notify(SystemEvent::ClockSkew);
    }

    fn look_at_updates(&mut self, base: &Base, view: &AccountsView) {
        let accounts = view.accounts.iter();
        let accounts =
            accounts.map(|(id, account)| (id, move |month| account.periods.contains_key(&month)));
        for missing in self.updates.look(base.clock.now(), accounts) {
            tracing::warn!(module = "update", "{missing}");
            base.notifier.notify(SystemEvent::UpdateMissing);
        }
    }

    fn look_at_certificates(&mut self, base: &Base, view: &AccountsView, shown: ShownCertificate) {
        self.read_authorities(view);
        let authorities: Vec<_> = self
            .authorities
            .iter()
            .filter_map(|(id, (_, end))| end.map(|end| (id.clone(), end)))
            .collect();
        let port = ("the certificate of the client port".to_owned(), shown.end);
        let cas = authorities.iter().map(|(id, end)| (format!("the CA of account {id}"), *end));
        for expiring in self.expiry.look(base.clock.now(), std::iter::once(port).chain(cas)) {
            tracing::warn!(module = "cert", "{expiring}");
            base.notifier.notify(SystemEvent::CertExpiring);
        }
        self.watched.update(|found| {
            found.certificate = Some(shown);
            found.authorities = authorities;
        });
    }

    /// Certificates are read only when an account has got another update.
    fn read_authorities(&mut self, view: &AccountsView) {
        let known = std::mem::take(&mut self.authorities);
        for (id, account) in &view.accounts {
            let Some(index) = account.newest() else { continue };
            let same = known.get(id).filter(|(blob, _)| *blob == index.blob).copied();
            let read = || {
                let ends = index.cas.iter().filter_map(|ca| server_cert::not_after(ca).ok());
                (index.blob, ends.max())
            };
            self.authorities.insert(id.clone(), same.unwrap_or_else(read));
        }
    }

    /// These directives of the configuration that runs have no effect yet.
    pub(super) fn without_effect(&self, directives: Vec<String>) {
        self.watched.update(|found| found.without_effect = directives);
    }

    /// These files hold secrets.
    pub(super) fn secrets_are_in(&self, files: Vec<PathBuf>) {
        self.watched.update(|found| found.secret_files = files);
    }

    /// The files of the configuration were looked at.
    pub(super) fn files_looked_at(&mut self, base: &Base, found: Option<Drift>) {
        let news = self.drift.looked(found);
        self.tell_drift(base, news);
    }

    /// SIGHUP read them; `found` is what still differs.
    pub(super) fn files_reloaded(&mut self, base: &Base, found: Option<Drift>) {
        let news = self.drift.reloaded(found);
        self.tell_drift(base, news);
    }

    fn tell_drift(&self, base: &Base, news: Option<DriftNews>) {
        match news {
            Some(DriftNews::Drifts(drift)) => {
                tracing::warn!(module = "config", "{drift}");
                self.watched.update(|found| found.drift = Some(drift.to_string()));
                base.notifier.notify(SystemEvent::ConfigDrift);
            }
            Some(DriftNews::Over) => {
                tracing::info!(module = "config", "the files on disk are what runs again");
                self.watched.update(|found| found.drift = None);
            }
            None => {}
        }
    }
}

fn read(clock: &dyn Clock) -> Reading {
    Reading { before: clock.mono(), wall: clock.now(), after: clock.mono() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use crs_actors::accounts::{Account, PeriodContent, PeriodIndex};
    use crs_keys::account_ca::AccountCa;
    use crs_ops::{Health, Metrics, Notifier};
    use crs_types::rng::SeededRng;
    use crs_types::{Mono, Period};
    use tokio::sync::mpsc::Receiver;

    use super::*;

    const DAY: u64 = 86_400_000;

    /// Clocks that stand where the test puts them, in ms.
    struct Hands {
        wall: AtomicU64,
        mono: AtomicU64,
    }

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
        }

        fn mono(&self) -> Mono {
            Mono::from_micros(self.mono.load(Ordering::Relaxed) * 1000)
        }
    }

    struct Bed {
        hands: Arc<Hands>,
        base: Base,
        events: Receiver<SystemEvent>,
        watching: Watching,
        view: AccountsView,
        shown: ShownCertificate,
    }

    impl Bed {
        fn new(month: &str) -> Self {
            let start = month.parse::<Period>().unwrap().start();
            let hands = Hands { wall: start.as_millis().into(), mono: 0.into() };
            let hands = Arc::new(hands);
            let (notifier, events) = Notifier::channel();
            let base = Base {
                clock: Arc::clone(&hands) as _,
                metrics: Metrics::default(),
                health: Health::starting(),
                notifier,
            };
            let end = start.plus(Duration::from_millis(400 * DAY));
            let shown = ShownCertificate { end, own: false };
            let watching = Watching::default();
            Self { hands, base, events, watching, view: AccountsView::default(), shown }
        }

        fn pass(&self, ms: u64) {
            self.hands.wall.fetch_add(ms, Ordering::Relaxed);
            self.hands.mono.fetch_add(ms, Ordering::Relaxed);
        }

        /// Looks, and returns the events.
        fn look(&mut self) -> Vec<String> {
            self.watching.look(&self.base, &self.view, self.shown);
            let events = std::iter::from_fn(|| self.events.try_recv().ok());
            events.map(|event| format!("{} {}", event.unit(), event.event())).collect()
        }

        /// Puts an account with an update for each month; its CA is made now.
        fn account(&mut self, months: &[&str]) {
            let id = AccountId::parse("acme").unwrap();
            let now = self.base.clock.now();
            let ca = AccountCa::generate(id.clone(), &mut SeededRng::new(1), now).unwrap();
            let index = |month: &&str| {
                let period: Period = month.parse().unwrap();
                let content = PeriodContent {
                    period,
                    serial: 1,
                    cas: vec![ca.certificate().as_ref()],
                    trust: b"",
                    connected: Vec::new(),
                    team_codes: 0,
                    users: Vec::new(),
                };
                (period, Arc::new(PeriodIndex::build(&content, b"", BlobHash([7; 32])).unwrap()))
            };
            let account = Account::new(id.clone(), months.iter().map(index).collect(), [].into());
            self.view.accounts.insert(id, Arc::new(account));
        }
    }

    #[test]
    fn a_missing_update_is_an_event_of_its_account_and_month() {
        let mut bed = Bed::new("2026-11");
        assert!(bed.look().is_empty());
        bed.account(&[]);
        assert_eq!(bed.look(), ["update missing"]);
        assert!(bed.look().is_empty());
        bed.account(&["2026-11"]);
        assert!(bed.look().is_empty());
        bed.pass(19 * DAY);
        assert!(bed.look().is_empty(), "the 20th");
        bed.pass(DAY);
        assert_eq!(bed.look(), ["update missing"], "the 21st");
    }

    #[test]
    fn a_jump_of_the_clock_is_an_event_and_doctor_is_told() {
        let mut bed = Bed::new("2026-11");
        bed.look();
        bed.pass(5000);
        assert!(bed.look().is_empty());
        bed.hands.wall.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(bed.look(), ["clock skew"]);
        let (at, text) = bed.watching.watched().found().clock_jump.unwrap();
        assert_eq!((at, &*text), (bed.base.clock.now(), "the clock jumped forward by 3600.0 s"));
        bed.pass(5000);
        assert!(bed.look().is_empty());
    }

    #[test]
    fn certificates_of_port_and_accounts_are_told_in_tiers() {
        let mut bed = Bed::new("2026-11");
        bed.shown.end = bed.base.clock.now().plus(Duration::from_millis(20 * DAY));
        assert_eq!(bed.look(), ["cert expiring"]);
        bed.pass(14 * DAY);
        assert_eq!(bed.look(), ["cert expiring"]);
        bed.shown.end = bed.shown.end.plus(Duration::from_millis(400 * DAY));
        assert!(bed.look().is_empty());
        assert_eq!(bed.watching.watched().found().certificate, Some(bed.shown));

        bed.account(&["2026-11", "2026-12"]);
        assert!(bed.look().is_empty());
        let found = bed.watching.watched().found().authorities;
        let [(_, end)] = &found[..] else { panic!("{found:?}") };
        let near = end.minus(Duration::from_millis(7 * DAY));
        bed.hands.wall.store(near.as_millis(), Ordering::Relaxed);
        bed.shown.end = end.plus(Duration::from_millis(400 * DAY));
        let mut events = bed.look();
        events.retain(|event| event.starts_with("cert"));
        assert_eq!(events, ["cert expiring"]);
    }

    #[test]
    fn a_drift_of_the_configuration_is_an_event_until_it_is_over() {
        let mut bed = Bed::new("2026-11");
        let drift = Drift::differs(vec!["key"]);
        bed.watching.files_looked_at(&bed.base, drift.clone());
        assert!(bed.look().is_empty());
        bed.watching.files_looked_at(&bed.base, drift.clone());
        assert_eq!(bed.look(), ["config drift"]);
        let text = bed.watching.watched().found().drift.unwrap();
        assert_eq!(text, "the files on disk differ from what runs: key");
        bed.watching.files_reloaded(&bed.base, drift);
        assert!(bed.look().is_empty(), "told already");
        bed.watching.files_reloaded(&bed.base, None);
        assert!(bed.look().is_empty());
        assert_eq!(bed.watching.watched().found().drift, None);
    }
}
