//! `upd.get` and `upd.confirm`, and what is offered: the user's keys of current and next month
//! . They are answered without a registration and after the grace of the certificate.

use std::sync::Arc;

use crs_keys::cbor::Bytes;
use crs_keys::package::Delivery;
use crs_proto::codec::RequestId;
use crs_proto::wire::keys::{UpdateConfirm, UpdateOffer, UpdatePackage};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode};
use crs_types::Period;
use crs_types::period::Standing;

use super::{Empty, attach, done, fail};
use crate::accounts::{Account, PeriodIndex, User};
use crate::connection::state::State;
use crate::trace::{ObjectEvent, TraceEvent};

/// What the user of this connection can fetch now; `confirmed` is not looked up.
pub(super) fn offers(state: &State) -> Vec<UpdateOffer> {
    let view = state.context.accounts.view();
    let Some(account) = view.account(&state.identity.account) else { return Vec::new() };
    account
        .offered(state.context.clock.now())
        .filter_map(|index| {
            let user = index.user(&state.identity.uri)?;
            Some(UpdateOffer {
                period: index.period,
                serial: index.serial,
                generation: user.generation,
                confirmed: false,
            })
        })
        .collect()
}

pub(super) fn get(state: &mut State, id: RequestId, period: Period) {
    let (index, user) = match find(state, period) {
        Ok(found) => found,
        Err(error) => return fail(state, id, error),
    };
    let blobs = Arc::clone(&state.context.blobs);
    state.spawn(id, async move {
        let spans = vec![user.package, user.kem_cert, user.sign_cert];
        let pieces = match blobs.read(index.blob, spans).await {
            Ok(pieces) => pieces,
            Err(error) => {
                tracing::error!(%error, blob = %index.blob, "reading a package");
                return done::<Empty>(id, &Err(unreadable()));
            }
        };
        let Ok([sealed, kem_cert, sign_cert]) = <[Vec<u8>; 3]>::try_from(pieces) else {
            return done::<Empty>(id, &Err(unreadable()));
        };
        let delivery = Delivery {
            v: DELIVERY_VERSION,
            trust: Bytes(index.trust.clone()),
            sealed: Bytes(sealed),
            kem_cert: Bytes(kem_cert),
            sign_cert: Bytes(sign_cert),
        };
        done(
            id,
            &Ok(UpdatePackage {
                period: index.period,
                serial: index.serial,
                generation: user.generation,
                package: Bytes64(delivery.encode()),
            }),
        )
    });
}

/// Version of [`Delivery`] that we write.
const DELIVERY_VERSION: u64 = 1;

pub(super) fn confirm(state: &mut State, id: RequestId, confirm: UpdateConfirm) {
    let ready = state.services().and_then(|services| {
        let (index, _) = find(state, confirm.period)?;
        if index.serial != confirm.serial {
            let text = format!("`serial`: the newest file of {} is {}", index.period, index.serial);
            return Err(ErrorBody::new(ErrorCode::BadArgument, text));
        }
        Ok(services)
    });
    let services = match ready {
        Ok(services) => services,
        Err(error) => return fail(state, id, error),
    };
    let context = Arc::clone(&state.context);
    let (account, uri) = (state.identity.account.clone(), state.identity.uri.clone());
    let UpdateConfirm { period, serial } = confirm;
    state.spawn(id, async move {
        let result = services.updates.confirm(account.clone(), uri.clone(), period, serial).await;
        if result.is_ok() && context.trace.enabled() {
            context.trace.emit(TraceEvent::Object(ObjectEvent {
                time: context.clock.now(),
                from: uri,
                account,
                event: format!("confirm update {period}"),
            }));
        }
        done(id, &result.map(|()| Empty {}))
    });
}

/// The user's entry of a period. Keys that are worth nothing any more get nothing, on a connection
/// that is older than that, too.
fn find(state: &State, period: Period) -> Result<(Arc<PeriodIndex>, User), ErrorBody> {
    let user = &state.identity;
    if user.period.standing(state.context.clock.now()) == Standing::Expired {
        let reason = crs_proto::wire::life::DeniedReason::NotAuthorised;
        return Err(ErrorBody::denied(reason, "the keys are too old: enrol again"));
    }
    let absent = || {
        let text = format!("there is no update of {period} for this user");
        ErrorBody::new(ErrorCode::NotFound, text)
    };
    let view = state.context.accounts.view();
    let account: &Arc<Account> = view.account(&user.account).ok_or_else(absent)?;
    if !user.uri.is_test_client()
        && let Err(worthless) = account.stands(&user.uri, state.keys, state.context.clock.now())
    {
        let reason = worthless.denied();
        return Err(ErrorBody::denied(reason, attach::text(reason)));
    }
    let index = account.periods.get(&period).ok_or_else(absent)?;
    let entry = index.user(&user.uri).ok_or_else(absent)?;
    Ok((Arc::clone(index), *entry))
}

fn unreadable() -> ErrorBody {
    ErrorBody::retry(ErrorCode::Unavailable, "the package cannot be read now", 1000)
}
