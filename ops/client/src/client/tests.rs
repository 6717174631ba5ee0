//! Both queues of a client whose task or application is slow; calls that may not ring.

use crs_keys::call::AGE_MAX;
use crs_proto::wire::call::SessionState;
use crs_types::SystemClock;
use futures_util::FutureExt;

use super::*;
use crate::core::inbox;
use crate::fault_disk::{FaultDisk, Survives};
use crate::fixture::{Callers, session};

/// A client that has nowhere to connect.
async fn alone(callers: &Callers) -> Client {
    Client::with_identity(callers.called(), Options::default()).await.unwrap()
}

fn ask() -> (Command, oneshot::Receiver<Result<Identity, ClientError>>) {
    let (reply, answer) = oneshot::channel();
    (Command::Identity { reply }, answer)
}

/// The client's task cannot run on this one thread before the test waits for something.
#[tokio::test]
async fn commands_wait_for_a_place_and_none_is_lost() {
    let client = alone(&Callers::new()).await;
    let (commands, answers): (Vec<_>, Vec<_>) = (0..COMMANDS_MAX).map(|_| ask()).unzip();
    for command in commands {
        client.submit(command).now_or_never().expect("there is room").unwrap();
    }
    let (further, answer) = ask();
    let mut waiting = Box::pin(client.submit(further));
    assert!(waiting.as_mut().now_or_never().is_none(), "it waits for a place");
    waiting.await.unwrap();
    for answer in answers.into_iter().chain([answer]) {
        answer.await.unwrap().unwrap();
    }
    client.close().await;
}

#[tokio::test]
async fn events_that_nobody_reads_are_dropped_beyond_the_limit_and_counted() {
    let callers = Callers::new();
    let client = alone(&callers).await;
    // Each call begins and ends: two events.
    for n in 0..EVENTS_MAX {
        let rings = callers.invite(session(n));
        let ended = CallState { state: SessionState::Hangup, ..rings.clone() };
        client.submit(Command::State(Box::new(rings))).await.unwrap();
        client.submit(Command::State(Box::new(ended))).await.unwrap();
    }
    let (last, answer) = ask();
    client.submit(last).await.unwrap();
    answer.await.unwrap().unwrap();
    // Attempts to connect tell of themselves, too.
    assert!(client.status().dropped_events >= EVENTS_MAX as u64);
    let mut events = client.events.lock().await;
    let kept = std::iter::from_fn(|| events.try_recv().ok()).count();
    assert_eq!(kept, EVENTS_MAX);
    drop(events);
    client.close().await;
}

/// What a call comes to that the server announces like this: rings, or nothing at all.
async fn rings(callers: &Callers, options: Options, state: CallState) -> bool {
    let client = Client::with_identity(callers.called(), options).await.unwrap();
    let session = state.session;
    client.submit(Command::State(Box::new(state))).await.unwrap();
    let (reply, ringing) = oneshot::channel();
    client.submit(Command::Ringing { session, reply }).await.unwrap();
    let ringing = ringing.await.unwrap().is_ok();
    let mut events = client.events.lock().await;
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let told = told.filter(|event| matches!(event, Event::Incoming(_))).count();
    assert_eq!(told, usize::from(ringing), "told if and only if it rings");
    drop(events);
    client.close().await;
    ringing
}

#[tokio::test]
async fn a_call_rings_only_if_its_offer_is_of_that_call_and_of_that_caller() {
    let callers = Callers::new();
    let good = callers.invite(session(0));
    assert!(rings(&callers, Options::default(), good.clone()).await);
    type Change = fn(&mut CallState);
    let cases: [(&str, Change); 5] = [
        ("another session", |state| state.session = session(1)),
        ("another caller", |state| state.from = Uri::parse("+46700000009").unwrap()),
        ("another account", |state| state.from_account = AccountId::parse("rival").unwrap()),
        ("another offer", |state| {
            let offer = &mut state.offer.as_mut().unwrap().0;
            *offer.last_mut().unwrap() ^= 1;
        }),
        ("no offer", |state| state.offer.as_mut().unwrap().0.clear()),
    ];
    for (what, change) in cases {
        let mut state = good.clone();
        change(&mut state);
        assert!(!rings(&callers, Options::default(), state).await, "{what}");
    }
    // The called user is another one: the offer is played back to whom it was not made for.
    let other = Callers::new();
    assert!(!rings(&other, Options::default(), good.clone()).await, "authority of nobody here");
    let late = AGE_MAX.as_millis() as i64 + 1000;
    let clock = std::sync::Arc::new(SystemClock::with_offset_ms(late));
    let options = Options { clock, ..Options::default() };
    assert!(!rings(&callers, options, good).await, "an old offer");
}

/// A client that has nowhere to connect, with its journals on this disk.
async fn on_disk(callers: &Callers, disk: &FaultDisk) -> Client {
    let profile = Profile::on_disk(callers.called(), std::sync::Arc::new(disk.clone()));
    Client::start(profile, Options::default()).await.unwrap()
}

async fn storage_failure(client: &Client) -> String {
    loop {
        if let Some(Event::StorageFailed { why }) = client.next_event().await {
            return why;
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_what_was_refused_is_not_sent() {
    let (callers, disk) = (Callers::new(), FaultDisk::default());
    let client = on_disk(&callers, &disk).await;
    let to = callers.uri(1);
    client.send(&to, b"before").await.unwrap();
    disk.fill(true);
    for _ in 0..2 {
        let refused = client.send(&to, b"meanwhile").await.unwrap_err().to_string();
        assert!(refused.starts_with("nothing was taken: journal outbox.journal"), "{refused}");
    }
    assert!(storage_failure(&client).await.contains("outbox.journal"));
    let account = AccountId::parse("rival").unwrap();
    let refused = client.accept_contact(&to, &account).await.unwrap_err().to_string();
    assert!(refused.contains("contacts.journal"), "{refused}");
    disk.fill(false);
    client.send(&to, b"after").await.unwrap();
    assert_eq!(client.status().outbox, 2);
    client.close().await;
    let client = on_disk(&callers, &disk.restarted(Survives::Synced, false)).await;
    let (last, answer) = ask();
    client.submit(last).await.unwrap();
    answer.await.unwrap().unwrap();
    assert_eq!(client.status().outbox, 2, "what was taken, and nothing else");
    client.close().await;
}

#[tokio::test]
async fn a_done_that_could_not_be_written_is_written_when_it_is_repeated() {
    let (callers, disk) = (Callers::new(), FaultDisk::default());
    let inbox = |disk: &FaultDisk| {
        Profile::on_disk(callers.called(), std::sync::Arc::new(disk.clone())).inbox().unwrap()
    };
    let (account, from) = (AccountId::parse("acme").unwrap(), callers.uri(1));
    let mid = MessageId::from_parts(crs_types::Timestamp::from_secs(1_800_000_000), [1; 10]);
    let key = inbox::Key { receipt: true, account, from, mid };
    let time = crs_types::Timestamp::from_secs(1_800_000_001);
    let entry = inbox::Entry { key, time, content: Ok(Vec::new()) };
    inbox(&disk).journal.append(&[inbox::Record::Entry(1, entry)]).unwrap();
    let client = on_disk(&callers, &disk).await;
    disk.fill(true);
    for _ in 0..2 {
        assert!(client.done(1).await.is_err(), "it is not done");
    }
    disk.fill(false);
    client.done(1).await.unwrap();
    client.close().await;
    let records = inbox(&disk.restarted(Survives::Synced, false)).records;
    assert_eq!(records.last(), Some(&inbox::Record::Done(1)));
}
