//! Accounts and users, made by the real key code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crs_keys::account_ca::{AccountCa, Validity};
use crs_keys::cbor::Bytes;
use crs_keys::identity::UserIdentity;
use crs_keys::package::UserKeys;
use crs_keys::trust::{Connected, Trust};
use crs_keys::update::{CmsKey, Pin, Succession, UpdateFile, UpdateUser, open, seal};
use crs_types::rng::SeededRng;
use crs_types::{AccountId, BlobHash, Generation, Period, Secret, Uri};

use super::NOW;
use crate::accounts::{Account, index};

/// A security domain with its CMS.
pub(crate) struct Domain {
    pub(crate) id: AccountId,
    /// The one that issues.
    pub(crate) ca: AccountCa,
    /// All that the next file names.
    cas: Vec<AccountCa>,
    /// Serial of each file, and the CAs that it names.
    files: BTreeMap<Period, (u64, Vec<AccountCa>)>,
    serial: u64,
    pub(crate) blacklist: BTreeSet<Uri>,
    pub(crate) connected: Vec<(AccountId, AccountCa)>,
    periods: BTreeMap<Period, Vec<UpdateUser>>,
    rng: SeededRng,
}

/// A user with keys.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) keys: UserKeys,
}

impl Domain {
    pub(crate) fn new(id: &str) -> Self {
        let id = AccountId::parse(id).unwrap();
        let mut rng = SeededRng::new(id.as_str().bytes().map(u64::from).sum());
        let ca = AccountCa::generate(id.clone(), &mut rng, NOW).unwrap();
        let (blacklist, connected, periods, files) = Default::default();
        let cas = vec![ca.clone()];
        Self { id, ca, cas, files, serial: 0, blacklist, connected, periods, rng }
    }

    /// A new CA issues from now on; files made from now on name it, too.
    pub(crate) fn rotate_ca(&mut self) {
        self.ca = AccountCa::generate(self.id.clone(), &mut self.rng, NOW).unwrap();
        self.cas.insert(0, self.ca.clone());
    }

    /// Files made from now on name no CA but the one that issues.
    pub(crate) fn retire_ca(&mut self) {
        self.cas.truncate(1);
    }

    /// Adds a user to this month's update file.
    pub(crate) fn user(&mut self, number: &str) -> User {
        self.user_of(number, Period::at(NOW), 1)
    }

    /// Adds a user to a month's update file, in place of its former entry.
    pub(crate) fn user_of(&mut self, number: &str, period: Period, generation: u32) -> User {
        let user = self.issue(number, period, generation);
        let keys = &user.keys;
        let entry = UpdateUser {
            uri: keys.identity.uri.clone(),
            listed: true,
            sealed: Bytes(format!("sealed for {number} {period} {generation}").into_bytes()),
            kem_cert: Bytes(keys.kem_cert.clone()),
            sign_cert: Bytes(keys.sign_cert.as_ref().to_vec()),
            generation,
        };
        let users = self.periods.entry(period).or_default();
        users.retain(|old| old.uri != entry.uri);
        users.push(entry);
        users.sort_by(|a, b| a.uri.cmp(&b.uri));
        // The file of the month is made anew.
        self.serial += 1;
        self.files.insert(period, (self.serial, self.cas.clone()));
        user
    }

    /// Issues keys without adding them to any update file.
    pub(crate) fn issue(&mut self, number: &str, period: Period, generation: u32) -> User {
        let identity = UserIdentity {
            account: self.id.clone(),
            uri: Uri::parse(number).unwrap(),
            period,
            generation: Generation(generation),
        };
        let validity = Validity::of_period(period);
        let keys = UserKeys::issue(&self.ca, identity, validity, &mut self.rng).unwrap();
        User { keys }
    }

    /// Changes a user's entry of this month.
    pub(crate) fn edit(&mut self, number: &str, edit: impl Fn(&mut UpdateUser)) {
        let uri = Uri::parse(number).unwrap();
        let users = self.periods.entry(Period::at(NOW)).or_default();
        users.iter_mut().filter(|user| user.uri == uri).for_each(edit);
    }

    /// Takes a user out of all files.
    pub(crate) fn remove(&mut self, number: &str) {
        let uri = Uri::parse(number).unwrap();
        self.periods.values_mut().for_each(|users| users.retain(|user| user.uri != uri));
    }

    /// The unprotected contents, by the names they are stored under here.
    pub(crate) fn contents(&self) -> Vec<(BlobHash, Vec<u8>)> {
        self.periods.keys().map(|period| (self.blob(*period), self.content(*period))).collect()
    }

    /// The account as the node would load it.
    pub(crate) fn account(&self) -> Account {
        let periods = self.contents().into_iter().map(|(blob, bytes)| {
            let index = index(&bytes, blob).unwrap();
            (index.period, Arc::new(index))
        });
        Account::new(self.id.clone(), periods.collect(), self.blacklist.clone())
    }

    /// Goes through seal and open, so that the content is what a node would store.
    fn content(&self, period: Period) -> Vec<u8> {
        let mut rng = SeededRng::new(5);
        let secret = Secret::generate(&mut rng, 32);
        let cms = CmsKey::generate(&mut rng);
        let file = self.file(period);
        let sealed = seal(&file, &secret, &cms, &Succession::default(), &mut rng).unwrap();
        open(&sealed, &secret, &self.id, Pin::FirstUse).unwrap().inner_bytes
    }

    fn file(&self, period: Period) -> UpdateFile {
        let (serial, issuers) = &self.files[&period];
        let cas: Vec<_> = issuers.iter().map(|ca| ca.certificate().clone()).collect();
        let trust = Trust::initial(self.id.clone(), cas.clone());
        let connected = self.connected.iter().map(|(account, ca)| Connected {
            cas: vec![Bytes(ca.certificate().as_ref().to_vec())],
            account: account.clone(),
        });
        UpdateFile {
            v: 1,
            cas: cas.iter().map(|ca| Bytes(ca.as_ref().to_vec())).collect(),
            trust: Bytes(trust.sign(&issuers[issuers.len() - 1])),
            users: self.periods[&period].clone(),
            period,
            serial: *serial,
            account: self.id.clone(),
            created: NOW,
            connected: connected.collect(),
            kms_public: Bytes::default(),
            team_codes: BTreeMap::new(),
            domain_token: Bytes::default(),
        }
    }

    /// Not a hash, but different for different contents.
    fn blob(&self, period: Period) -> BlobHash {
        let mut name = [0; 32];
        let text = format!("{}{period}", self.id.folded());
        name[..text.len()].copy_from_slice(text.as_bytes());
        for entry in &self.periods[&period] {
            let mix =
                entry.sign_cert.0.iter().fold(0u64, |s, b| s.wrapping_mul(31) + u64::from(*b));
            name[24..].iter_mut().zip(mix.to_be_bytes()).for_each(|(a, b)| *a ^= b);
        }
        BlobHash(name)
    }
}
