//! A domain: account, server, users, team codes, connected domains.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crs_keys::account_ca::{AccountCa, IssueError};
use crs_keys::bundle::{BundleError, ServerTrust};
use crs_keys::cbor::Bytes;
use crs_keys::trust::{CAS_MAX, CONNECTED_MAX};
use crs_keys::update::{
    CmsKey, CmsPublicKey, SECRET_MIN, SUCCESSION_MAX, TEAM_CODES_MAX, TEAM_MEMBERS_MAX, TeamCode,
    USERS_MAX, UpdateError,
};
use crs_types::{AccountId, Generation, Period, Rng, Secret, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::keys::Keys;
use crate::store::{DOMAIN_FILE, KEYS_FILE, Store};

/// What a new domain is made from.
#[derive(Debug)]
pub struct Settings {
    /// The account id, as it was created on the CRS.
    pub account: AccountId,
    /// The account's shared secret, as it was entered on the CRS.
    pub secret: Secret,
    /// How users reach the CRS.
    pub server: Server,
}

/// How users reach the CRS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `host:port`, in order of preference.
    pub addresses: Vec<String>,
    /// How to recognise it; `None` until the pool CA is known.
    pub trust: Option<ServerTrust>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// True when others may look the user up.
    pub listed: bool,
    /// Raised by `revoke`: keys of older generations are refused.
    pub generation: u32,
}

/// An open domain; holds the lock on its directory.
#[derive(Debug)]
pub struct Domain {
    store: Store,
    state: State,
    pub(crate) keys: Keys,
}

/// The domain file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    v: u32,
    account: AccountId,
    server: Server,
    /// Serial of the newest update file.
    serial: u64,
    /// The latest month that an update file was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest_period: Option<Period>,
    users: BTreeMap<Uri, User>,
    /// Generations of removed users: a number that comes back must not revive old keys.
    retired: BTreeMap<Uri, u32>,
    team_codes: BTreeMap<String, BTreeSet<Uri>>,
    connected: BTreeMap<AccountId, Vec<Bytes>>,
}

/// What can go wrong; what to do about it is in [`DomainError::hint`].
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// The directory holds no domain.
    #[error("{} holds no domain", .0.display())]
    NoDomain(PathBuf),
    /// The directory already holds one.
    #[error("{} already holds a domain", .0.display())]
    Exists(PathBuf),
    /// Another `crs-cms` works on it.
    #[error("another crs-cms is working on {}", .0.display())]
    Busy(PathBuf),
    /// A file operation.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        error: std::io::Error,
    },
    /// A file that cannot be read as what it should be.
    #[error("{} is damaged at line {line}, column {column}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// The key file holds unusable keys.
    #[error("the key file holds unusable keys")]
    Keys,
    /// A domain of a newer program.
    #[error("the domain has version {0}, this program knows 1")]
    Version(u32),
    /// The account secret is too short.
    #[error("the account secret has {0} bytes, at least {SECRET_MIN} are needed")]
    Secret(usize),
    /// A user that is not there.
    #[error("{0} is not a user of this domain")]
    NoUser(Uri),
    /// A test client.
    #[error("{0} is a test client: those belong to the CRS itself")]
    TestClient(Uri),
    /// A user that is there already.
    #[error("{0} is already a user of this domain")]
    UserExists(Uri),
    /// A team code that is not there.
    #[error("there is no team code {0}")]
    NoTeamCode(String),
    /// A connected domain that is not there.
    #[error("{0} is not a connected domain")]
    NotConnected(AccountId),
    /// A limit.
    #[error("{what}: at most {most}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// No address of the CRS is known, or how to recognise it.
    #[error("{0}")]
    Server(&'static str),
    /// Another domain's public file that cannot be used.
    #[error("not the public file of another domain: {0}")]
    Public(String),
    /// No CA, or more than one, that is named so.
    #[error("no CA, or not only one, has a fingerprint that begins with {0}")]
    NoCa(String),
    /// The CA that issues cannot be taken away.
    #[error("this CA is the one that issues")]
    CaIssues,
    /// Somebody may still hold what the CA has certified.
    #[error("what this CA has certified may be needed until some time in {0}")]
    CaNeeded(Period),
    /// An update file for a month that is over.
    #[error("{0} is over")]
    PastPeriod(Period),
    /// A certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// An update file could not be made.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// A bundle could not be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A QR code could not be made.
    #[error("QR code: {0}")]
    Qr(String),
}

impl Domain {
    /// Makes a new domain in `dir` and saves it.
    pub fn create(
        dir: &Path,
        settings: Settings,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<Self, DomainError> {
        if settings.secret.len() < SECRET_MIN {
            return Err(DomainError::Secret(settings.secret.len()));
        }
        let store = Store::create(dir)?;
        let keys = Keys::generate(&settings.account, settings.secret, rng, now)?;
        let state = State {
            v: 1,
            account: settings.account,
            server: settings.server,
            serial: 0,
            latest_period: None,
            users: BTreeMap::new(),
            retired: BTreeMap::new(),
            team_codes: BTreeMap::new(),
            connected: BTreeMap::new(),
        };
        let domain = Self { store, state, keys };
        // Keys first: a domain file without keys would look like a domain.
        domain.store.write(KEYS_FILE, &domain.keys.to_stored())?;
        domain.save()?;
        Ok(domain)
    }

    /// Opens the domain in `dir`.
    pub fn open(dir: &Path) -> Result<Self, DomainError> {
        let store = Store::open(dir)?;
        let state: State = store.read(DOMAIN_FILE)?;
        if state.v != 1 {
            return Err(DomainError::Version(state.v));
        }
        let keys = Keys::from_stored(&state.account, store.read(KEYS_FILE)?)?;
        Ok(Self { store, state, keys })
    }

    /// Makes all changes since opening durable.
    pub fn save(&self) -> Result<(), DomainError> {
        self.store.write(DOMAIN_FILE, &self.state)
    }

    /// Adds a user; a number that was removed before comes back with a higher generation.
    pub fn add_user(&mut self, uri: Uri, listed: bool) -> Result<(), DomainError> {
        if uri.is_test_client() {
            return Err(DomainError::TestClient(uri));
        }
        limit("users", self.state.users.len(), USERS_MAX)?;
        if self.state.users.contains_key(&uri) {
            return Err(DomainError::UserExists(uri));
        }
        let generation = self.state.retired.get(&uri).map_or(1, |last| last.saturating_add(1));
        self.state.users.insert(uri, User { listed, generation });
        Ok(())
    }

    /// Removes a user, also from team codes. Takes effect with the next update file.
    pub fn remove_user(&mut self, uri: &Uri) -> Result<(), DomainError> {
        let user = self.state.users.remove(uri).ok_or_else(|| DomainError::NoUser(uri.clone()))?;
        self.state.retired.insert(uri.clone(), user.generation);
        for members in self.state.team_codes.values_mut() {
            members.remove(uri);
        }
        Ok(())
    }

    /// Makes all keys the user has worthless: raises the generation. The user must enrol again.
    pub fn revoke_user(&mut self, uri: &Uri) -> Result<Generation, DomainError> {
        let user = self.state.users.get_mut(uri).ok_or_else(|| DomainError::NoUser(uri.clone()))?;
        user.generation = user.generation.saturating_add(1);
        Ok(Generation(user.generation))
    }

    /// Adds members to a team code, making it if need be.
    pub fn add_team_members(&mut self, code: &TeamCode, uris: &[Uri]) -> Result<(), DomainError> {
        if !self.state.team_codes.contains_key(code.as_str()) {
            limit("team codes", self.state.team_codes.len(), TEAM_CODES_MAX)?;
        }
        if let Some(stranger) = uris.iter().find(|uri| !self.state.users.contains_key(*uri)) {
            return Err(DomainError::NoUser(stranger.clone()));
        }
        let mut members = self.state.team_codes.get(code.as_str()).cloned().unwrap_or_default();
        for uri in uris {
            if !members.contains(uri) {
                limit("members of a team code", members.len(), TEAM_MEMBERS_MAX)?;
                members.insert(uri.clone());
            }
        }
        self.state.team_codes.insert(code.to_string(), members);
        Ok(())
    }

    /// Removes members from a team code, or the code itself when none are given.
    pub fn remove_team_members(
        &mut self,
        code: &TeamCode,
        uris: &[Uri],
    ) -> Result<(), DomainError> {
        let missing = || DomainError::NoTeamCode(code.to_string());
        if uris.is_empty() {
            return self.state.team_codes.remove(code.as_str()).map(drop).ok_or_else(missing);
        }
        let members = self.state.team_codes.get_mut(code.as_str()).ok_or_else(missing)?;
        for uri in uris {
            if !members.remove(uri) {
                return Err(DomainError::NoUser(uri.clone()));
            }
        }
        Ok(())
    }

    /// Connects another domain, or replaces its CAs.
    pub fn connect(
        &mut self,
        account: AccountId,
        cas: &[CertificateDer<'_>],
    ) -> Result<(), DomainError> {
        if account == self.state.account {
            return Err(DomainError::Public("it is our own".into()));
        }
        if !self.state.connected.contains_key(&account) {
            limit("connected domains", self.state.connected.len(), CONNECTED_MAX)?;
        }
        let cas = cas.iter().map(|ca| ca.as_ref().into()).collect();
        self.state.connected.insert(account, cas);
        Ok(())
    }

    /// Takes the connection to another domain back. Takes effect with the next update file.
    pub fn disconnect(&mut self, account: &AccountId) -> Result<(), DomainError> {
        let removed = self.state.connected.remove(account).map(drop);
        removed.ok_or_else(|| DomainError::NotConnected(account.clone()))
    }

    /// Replaces what is known of the server.
    pub fn set_server(&mut self, server: Server) {
        self.state.server = server;
    }

    /// Replaces the CMS key; the old one signs the new, so that pools follow. Saved at once.
    pub fn rotate_cms_key(&mut self, rng: &mut dyn Rng) -> Result<CmsPublicKey, DomainError> {
        limit("CMS keys in a row", self.keys.succession.0.len(), SUCCESSION_MAX)?;
        let new = CmsKey::generate(rng);
        self.keys.succession.push(&self.state.account, &self.keys.cms, &new.public_key());
        self.keys.cms = new;
        self.save_keys()?;
        Ok(self.keys.cms.public_key())
    }

    /// Adds a CA that is trusted at once and issues from now on. Saved at once.
    pub fn rotate_ca(&mut self, rng: &mut dyn Rng, now: Timestamp) -> Result<(), DomainError> {
        limit("CAs", self.keys.cas.len(), CAS_MAX)?;
        let ca = AccountCa::generate(self.state.account.clone(), rng, now)?;
        self.keys.cas.insert(0, ca);
        self.save_keys()
    }

    /// Makes a change of the keys durable.
    pub(crate) fn save_keys(&self) -> Result<(), DomainError> {
        self.store.write(KEYS_FILE, &self.keys.to_stored())
    }

    /// Takes the next serial and saves it, before the file that carries it exists.
    pub(crate) fn next_serial(&mut self, period: Period) -> Result<u64, DomainError> {
        self.state.serial += 1;
        self.state.latest_period = self.state.latest_period.max(Some(period));
        self.save()?;
        Ok(self.state.serial)
    }

    /// The latest month that a file was made for, when it is later than this one: that file is
    /// older now than this month's, and a CRS takes no older ones.
    pub fn made_later_than(&self, period: Period) -> Option<Period> {
        self.state.latest_period.filter(|latest| *latest > period)
    }

    /// The account.
    pub fn account(&self) -> &AccountId {
        &self.state.account
    }

    /// The users.
    pub fn users(&self) -> &BTreeMap<Uri, User> {
        &self.state.users
    }

    /// Team codes and their members.
    pub fn team_codes(&self) -> &BTreeMap<String, BTreeSet<Uri>> {
        &self.state.team_codes
    }

    /// Connected domains with their CAs.
    pub fn connected(&self) -> BTreeMap<AccountId, Vec<CertificateDer<'static>>> {
        let cas =
            |cas: &Vec<Bytes>| cas.iter().map(|ca| CertificateDer::from(ca.0.clone())).collect();
        self.state.connected.iter().map(|(id, list)| (id.clone(), cas(list))).collect()
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.state.server
    }

    /// Serial of the newest update file; 0 before the first.
    pub fn serial(&self) -> u64 {
        self.state.serial
    }

    /// The public key that signs update files.
    pub fn cms_key(&self) -> CmsPublicKey {
        self.keys.cms.public_key()
    }

    /// The account's CAs, the issuing one first.
    pub fn cas(&self) -> Vec<CertificateDer<'static>> {
        self.keys.cas.iter().map(|ca| ca.certificate().clone()).collect()
    }
}

fn limit(what: &'static str, present: usize, most: usize) -> Result<(), DomainError> {
    if present >= most { Err(DomainError::Limit { what, most }) } else { Ok(()) }
}
