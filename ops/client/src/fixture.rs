//! Shared pieces of this crate's tests: users of an account with real keys, and their calls.

use crs_keys::account_ca::{AccountCa, Validity};
use crs_keys::call::{self, CallRoute, Offer};
use crs_keys::identity::UserIdentity;
use crs_keys::package::UserKeys;
use crs_keys::srtp::Profile;
use crs_keys::trust::Trust;
use crs_proto::wire::Bytes64;
use crs_proto::wire::call::{CallState, SessionState};
use crs_proto::wire::relay::RelayKind;
use crs_types::{
    AccountId, Clock, DeviceId, Generation, OsRng, Period, SessionId, SystemClock, Timestamp, Uri,
};

use crate::identity::{Identity, ServerTrust};

/// A session of its own for every number.
pub(crate) fn session(n: usize) -> SessionId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&(n as u64).to_be_bytes());
    SessionId::from_parts(Timestamp::from_millis(1_790_000_000_000), random)
}

/// User 0 is called, user 1 calls.
pub(crate) struct Callers {
    trust: Trust,
    users: [UserKeys; 2],
    now: Timestamp,
}

impl Callers {
    pub(crate) fn new() -> Self {
        let now = SystemClock::new().now();
        let account = AccountId::parse("acme").unwrap();
        let ca = AccountCa::generate(account.clone(), &mut OsRng, now).unwrap();
        let trust = Trust::initial(account.clone(), vec![ca.certificate().clone()]);
        let period = Period::at(now);
        let users = [0, 1].map(|n| {
            let uri = Uri::parse(&format!("+4670000000{n}")).unwrap();
            let generation = Generation(1);
            let identity = UserIdentity { account: account.clone(), uri, period, generation };
            UserKeys::issue(&ca, identity, Validity::of_period(period), &mut OsRng).unwrap()
        });
        Self { trust, users, now }
    }

    pub(crate) fn uri(&self, n: usize) -> Uri {
        self.users[n].identity.uri.clone()
    }

    /// The called user, with nowhere to connect.
    pub(crate) fn called(&self) -> Identity {
        let device = DeviceId::parse("test").unwrap();
        let trust = ServerTrust::PoolCa(Vec::new());
        Identity::from_keys(&self.users[0], &self.trust, Vec::new(), trust, device)
    }

    fn route(&self, session: SessionId) -> CallRoute {
        let [called, caller] = &self.users;
        CallRoute {
            session,
            from_account: caller.identity.account.clone(),
            from: caller.identity.uri.clone(),
            to: called.identity.uri.clone(),
        }
    }

    /// An offer as the server hands it on.
    pub(crate) fn invite(&self, session: SessionId) -> CallState {
        let route = self.route(session);
        let own = &self.users[1];
        let offer = call::offer(route, b"", &Profile::ALL, own, &mut OsRng, self.now).unwrap();
        CallState {
            session,
            state: SessionState::Invite,
            from: self.uri(1),
            from_account: own.identity.account.clone(),
            to: self.uri(0),
            offer: Some(Bytes64(offer.offer.clone())),
            answer: None,
            device: None,
            media: RelayKind::Rtp,
            reason: None,
            who: None,
            detail: None,
            stage: None,
        }
    }

    /// The same, verified by the called user.
    pub(crate) fn opened(&self, session: SessionId) -> Offer {
        let bytes = self.invite(session).offer.unwrap();
        call::open_offer(&bytes.0, &self.route(session), &self.trust, self.now).unwrap()
    }
}
