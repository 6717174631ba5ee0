//! Key updates per user: offered, confirmed; and what devices say about themselves.

use crs_proto::wire::life::ClientInfo;
use crs_storage::command::MailboxCommand;
use crs_storage::command::mailbox::{NoteUpdate, PutClientInfo, UpdateNote};
use crs_storage::{Body, Store, UserKey};
use crs_types::{AccountId, DeviceId, Period, Uri};
use futures_util::FutureExt;

use super::errors::{of_read, of_write};
use super::{StoreServices, user};
use crate::services::{Answering, Updates};

impl Updates for StoreServices {
    fn confirm(&self, account: AccountId, uri: Uri, period: Period, serial: u64) -> Answering<()> {
        let this = self.clone();
        async move {
            let time = this.context()?.clock.now();
            let user = user(account, uri);
            let note = UpdateNote::Confirmed;
            let command = MailboxCommand::NoteUpdate(NoteUpdate {
                user: user.clone(),
                period,
                serial,
                note,
                time,
            });
            let group = this.store.group_of(&user.uri);
            this.store.propose_mailbox(group, command).await.map_err(|e| of_write(&e))?;
            Ok(())
        }
        .boxed()
    }

    fn offered(&self, account: AccountId, uri: Uri, periods: Vec<(Period, u64)>) {
        let Ok(context) = self.context() else { return };
        let (time, store, user) = (context.clock.now(), self.store.clone(), user(account, uri));
        // Bounded: it ends with the store's answer, which always comes.
        tokio::spawn(async move {
            let view = store.user(&user).await;
            let known = view.map(|view| view.updates).unwrap_or_default();
            for (period, serial) in periods {
                let same = |(offered, _)| offered == serial;
                if known.iter().any(|flag| flag.period == period && flag.offered.is_some_and(same))
                {
                    continue;
                }
                let note = UpdateNote::Offered;
                let note = NoteUpdate { user: user.clone(), period, serial, note, time };
                best_effort(&store, &user, MailboxCommand::NoteUpdate(note)).await;
            }
        });
    }

    fn confirmed(&self, account: AccountId, uri: Uri) -> Answering<Vec<(Period, u64)>> {
        let store = self.store.clone();
        async move {
            let view = store.user(&user(account, uri)).await.map_err(|e| of_read(&e))?;
            let confirmed = view.updates.into_iter();
            Ok(confirmed
                .filter_map(|u| u.confirmed.map(|(serial, _)| (u.period, serial)))
                .collect())
        }
        .boxed()
    }

    fn client_info(&self, account: AccountId, uri: Uri, device: DeviceId, info: ClientInfo) {
        let Ok(context) = self.context() else { return };
        let Ok(info) = serde_json::to_vec(&info) else { return };
        let (time, store, user) = (context.clock.now(), self.store.clone(), user(account, uri));
        // Bounded like the one above.
        tokio::spawn(async move {
            // At most daily, and when it says something new.
            let known = store.user(&user).await.map(|view| view.clients).unwrap_or_default();
            let day = std::time::Duration::from_secs(86_400);
            let fresh =
                known.iter().any(|client| client.device == device && time.since(client.time) < day);
            if !fresh {
                let info = Body::new(info);
                let put = PutClientInfo { user: user.clone(), device, info, time };
                best_effort(&store, &user, MailboxCommand::PutClientInfo(put)).await;
            }
        });
    }
}

async fn best_effort(store: &Store, user: &UserKey, command: MailboxCommand) {
    if let Err(error) = store.propose_mailbox(store.group_of(&user.uri), command).await {
        tracing::debug!(%error, "a note about a user was not stored");
    }
}
