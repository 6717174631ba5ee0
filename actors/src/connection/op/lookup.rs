//! `lookup`: a user's account, presence and public keys. Users that do not exist, are blocked,
//! unlisted or not connected get the same answer.

use crs_proto::codec::RequestId;
use crs_proto::wire::lookup::{Found, Lookup, PublicKeys};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode};
use crs_types::{Generation, Period};

use super::{Empty, done, fail};
use crate::accounts::{Account, Span};
use crate::connection::state::State;
use crs_types::{BlobHash, Timestamp, Uri};

/// Where the keys of one period lie.
struct Where {
    period: Period,
    generation: Generation,
    blob: BlobHash,
    spans: Vec<Span>,
}

pub(super) fn begin(state: &mut State, id: RequestId, lookup: Lookup) {
    let own = &state.identity;
    let now = state.context.clock.now();
    let view = state.context.accounts.view();
    let Some(account) = view.resolve(&own.account, &own.uri, &lookup.uri, now) else {
        let error =
            ErrorBody::new(ErrorCode::NotFound, format!("{} cannot be reached", lookup.uri));
        return fail(state, id, error);
    };
    let attached = !state.context.directory.find(&account.id, &lookup.uri).is_empty();
    let places = places(&account, &lookup.uri, now);
    let blobs = std::sync::Arc::clone(&state.context.blobs);
    let (uri, account) = (lookup.uri, account.id.clone());
    state.spawn(id, async move {
        let mut keys = Vec::with_capacity(places.len());
        for place in places {
            match blobs.read(place.blob, place.spans).await {
                Ok(pieces) => keys.extend(public_keys(place.period, place.generation, pieces)),
                Err(error) => {
                    tracing::error!(%error, blob = %place.blob, "reading keys");
                    let text = "the keys cannot be read now";
                    let error = ErrorBody::retry(ErrorCode::Unavailable, text, 1000);
                    return done::<Empty>(id, &Err(error));
                }
            }
        }
        done(id, &Ok(Found { uri, account, attached, keys }))
    });
}

fn places(account: &Account, uri: &Uri, now: Timestamp) -> Vec<Where> {
    let of = |index: &std::sync::Arc<crate::accounts::PeriodIndex>| {
        let user = index.user(uri)?;
        Some(Where {
            period: index.period,
            generation: user.generation,
            blob: index.blob,
            spans: vec![user.sign_cert, user.kem_cert],
        })
    };
    account.published(now).filter_map(of).collect()
}

fn public_keys(period: Period, generation: Generation, pieces: Vec<Vec<u8>>) -> Option<PublicKeys> {
    let [sign_cert, kem_cert] = <[Vec<u8>; 2]>::try_from(pieces).ok()?;
    let (sign_cert, kem_cert) = (Bytes64(sign_cert), Bytes64(kem_cert));
    Some(PublicKeys { period, generation, sign_cert, kem_cert })
}
