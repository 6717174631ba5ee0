//! Monthly update files: keys and certificates for every user, sealed and signed.

use std::sync::atomic::{AtomicUsize, Ordering};

use crs_keys::account_ca::Validity;
use crs_keys::cbor::Bytes;
use crs_keys::identity::UserIdentity;
use crs_keys::package::UserKeys;
use crs_keys::trust::{self, Trust};
use crs_keys::update::{self, TeamCode, UpdateFile, UpdateUser};
use crs_types::rng::OsRng;
use crs_types::{Generation, Period, Timestamp, Uri};

use crate::{Domain, DomainError, User};

/// A new update file.
#[derive(Debug)]
pub struct Created {
    /// The bytes of `YYYY-MM.upd`.
    pub file: Vec<u8>,
    /// Its serial.
    pub serial: u64,
    /// Its month.
    pub period: Period,
    /// How many users it holds.
    pub users: usize,
}

/// Makes the update file of a month. The serial is saved before the file is made, so that two
/// files never carry the same one. `progress` is called with the number of users done, from
/// several threads.
pub fn create(
    domain: &mut Domain,
    period: Period,
    now: Timestamp,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Created, DomainError> {
    if period < Period::at(now) {
        return Err(DomainError::PastPeriod(period));
    }
    let serial = domain.next_serial(period)?;
    let trust = Trust {
        account: domain.account().clone(),
        serial,
        cas: domain.cas(),
        connected: domain.connected(),
    };
    let users = make_users(domain, period, progress)?;
    let team_code = |(code, members): (&String, &std::collections::BTreeSet<Uri>)| {
        TeamCode::parse(code).ok().map(|code| (code, members.iter().cloned().collect()))
    };
    let file = UpdateFile {
        v: 1,
        cas: trust.cas.iter().map(|ca| Bytes::from(ca.as_ref())).collect(),
        trust: trust.sign(signing_ca(domain)).into(),
        users,
        period,
        serial,
        account: trust.account.clone(),
        created: now,
        connected: trust::connected_to_wire(&trust.connected),
        kms_public: Bytes::default(),
        team_codes: domain.team_codes().iter().filter_map(team_code).collect(),
        domain_token: Bytes::default(),
    };
    let Domain { keys, .. } = &*domain;
    let bytes = update::seal(&file, &keys.account_secret, &keys.cms, &keys.succession, &mut OsRng)?;
    Ok(Created { file: bytes, serial, period, users: file.users.len() })
}

/// Trust lists are signed by the oldest CA: clients that have not heard of a new one yet can
/// follow; new clients have all of them from their bundle.
fn signing_ca(domain: &Domain) -> &crs_keys::account_ca::AccountCa {
    let cas = &domain.keys.cas;
    &cas[cas.len() - 1]
}

/// Splits the users over the cores; order is kept.
fn make_users(
    domain: &Domain,
    period: Period,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<UpdateUser>, DomainError> {
    let users: Vec<(&Uri, &User)> = domain.users().iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
    let chunk = users.len().div_ceil(threads).max(1);
    let done = AtomicUsize::new(0);
    let make = |chunk: &[(&Uri, &User)]| {
        let one = |(uri, user): &(&Uri, &User)| {
            let made = make_user(domain, uri, user, period);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            made
        };
        chunk.iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> =
            users.chunks(chunk).map(|part| scope.spawn(move || make(part))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, DomainError>>()
    })?;
    Ok(parts.into_iter().flatten().collect())
}

fn make_user(
    domain: &Domain,
    uri: &Uri,
    user: &User,
    period: Period,
) -> Result<UpdateUser, DomainError> {
    let keys = monthly_keys(domain, uri, user, period)?;
    let generation = Generation(user.generation);
    let seal_failed = |error: crs_keys::kem::KemError| {
        DomainError::Update(update::UpdateError::Content(error.to_string()))
    };
    let enrolment = domain.keys.enrolment(uri, generation).public_key().map_err(seal_failed)?;
    let sealed = keys.seal(&enrolment, &mut OsRng).map_err(seal_failed)?;
    Ok(UpdateUser {
        uri: uri.clone(),
        listed: user.listed,
        sealed: sealed.into(),
        kem_cert: keys.kem_cert.into(),
        sign_cert: keys.sign_cert.as_ref().into(),
        generation: user.generation,
    })
}

/// A user's keys of a month with fresh certificates; the keys are the same each time.
pub(crate) fn monthly_keys(
    domain: &Domain,
    uri: &Uri,
    user: &User,
    period: Period,
) -> Result<UserKeys, DomainError> {
    let generation = Generation(user.generation);
    let (sign, kem) = domain.keys.monthly(uri, generation, period);
    let identity =
        UserIdentity { account: domain.account().clone(), uri: uri.clone(), period, generation };
    let validity = Validity::of_period(period);
    let ca = &domain.keys.cas[0];
    Ok(UserKeys::certify(ca, identity, validity, sign, kem, &mut OsRng)?)
}
