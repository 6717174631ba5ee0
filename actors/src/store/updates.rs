//! Key updates per user: offered, confirmed; and what devices say about themselves.

use crs_proto::wire::life::ClientInfo;
use crs_storage::command::MailboxCommand;
use crs_storage::command::mailbox::{NoteUpdate, UpdateNote};
use crs_types::{AccountId, DeviceId, Period, Uri};
use futures_util::FutureExt;

use super::errors::{of_read, of_write};
use super::notes::{Note, What};
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
        self.note(account, uri, What::Offered(periods));
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
        if let Ok(info) = serde_json::to_vec(&info) {
            self.note(account, uri, What::ClientInfo(device, info));
        }
    }
}

impl StoreServices {
    fn note(&self, account: AccountId, uri: Uri, what: What) {
        if let Ok(context) = self.context() {
            self.notes.put(Note { user: user(account, uri), time: context.clock.now(), what });
        }
    }
}
