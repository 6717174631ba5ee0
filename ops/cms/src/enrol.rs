//! Enrolment bundles for users.

use crs_keys::bundle::Bundle;
use crs_keys::trust::Trust;
use crs_types::{Generation, Period, Timestamp, Uri};

use crate::{Domain, DomainError, update};

/// The bundle of a user, with keys of the current month. Seal it with a PIN.
pub fn bundle(domain: &Domain, uri: &Uri, now: Timestamp) -> Result<Bundle, DomainError> {
    let user = domain.users().get(uri).ok_or_else(|| DomainError::NoUser(uri.clone()))?;
    let server = domain.server();
    if server.addresses.is_empty() {
        return Err(DomainError::Server("the address of the CRS is not known"));
    }
    let Some(trust) = server.trust.clone() else {
        return Err(DomainError::Server("it is not known how to recognise the CRS"));
    };
    let keys = update::monthly_keys(domain, uri, user, Period::at(now))?;
    Ok(Bundle {
        uri: uri.clone(),
        trust: Trust::initial(domain.account().clone(), domain.cas()),
        addresses: server.addresses.clone(),
        server: trust,
        enrolment_key: domain.keys.enrolment(uri, Generation(user.generation)),
        sign_key: keys.sign_key,
        sign_cert: keys.sign_cert,
    })
}
