//! Accounts and blacklists: stored, in force, mirrored, taken over from hand edits.

use crs_admin_api::command::*;
use crs_admin_api::secret_text::MASK;
use crs_admin_api::{Code, Reply, Request, SecretText};

use crs_keys::update::CmsKey;
use crs_types::rng::SeededRng;

use super::bed::{Bed, account, told, uri};

fn create(id: &str) -> Request {
    Request::CreateAccount(create_account::Request {
        account: account(id),
        secret: None,
        bytes: None,
        cms_key: None,
    })
}

fn add(number: &str) -> Request {
    let (account, uri) = (account("police"), uri(number));
    Request::BlacklistAdd(blacklist_add::Request { account, uri })
}

async fn secrets(bed: &Bed, reveal: bool) -> Vec<String> {
    let reply = bed.ask(Request::ListAccount(list_account::Request { reveal })).await.unwrap();
    let Reply::ListAccount(rows) = reply else { panic!() };
    rows.iter().map(|row| row.shared_secret.expose().to_owned()).collect()
}

#[tokio::test]
async fn an_account_is_created_listed_and_deleted() {
    let bed = Bed::new();
    let Reply::CreateAccount(made) = bed.ask(create("Police")).await.unwrap() else { panic!() };
    assert_eq!(made.shared_secret.expose().len(), 24, "16 bytes in base64");
    assert!(made.path.ends_with("accounts/Police"));
    assert!(std::path::Path::new(&made.path).join("blacklist").is_file());
    assert_eq!(secrets(&bed, false).await, [MASK]);
    assert_eq!(secrets(&bed, true).await, [made.shared_secret.expose()]);
    assert!(bed.ask(create("police")).await.unwrap_err().is(Code::AccountExists));
    let client = bed.attach("police", "+46701", 1).await;
    let delete = Request::DeleteAccount(delete_account::Request { account: account("POLICE") });
    let Reply::DeleteAccount(gone) = bed.ask(delete.clone()).await.unwrap() else { panic!() };
    assert_eq!((gone.account.as_str(), gone.closed), ("Police", 1));
    told(&client, &["Unregister(AccountDeleted)"]).await;
    assert!(!std::path::Path::new(&made.path).exists());
    assert!(bed.ask(delete).await.unwrap_err().is(Code::NoSuchAccount));
}

/// As `crs-cms init` printed it, pasted for an account that is there.
#[tokio::test]
async fn a_cms_key_for_an_account_that_exists_is_told_how_to_confirm() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    let key = CmsKey::generate(&mut SeededRng::new(1)).public_key();
    let with_key = Request::CreateAccount(create_account::Request {
        account: account("police"),
        secret: None,
        bytes: None,
        cms_key: Some(key.to_string()),
    });
    let error = bed.ask(with_key).await.unwrap_err();
    assert!(error.is(Code::AccountExists));
    let command = format!("`crs-cli apply FILE --confirm-fingerprint '{}'`", key.fingerprint());
    assert!(error.hint.ends_with(&command), "{}", error.hint);
    let plain = bed.ask(create("police")).await.unwrap_err();
    assert!(plain.hint.contains("list account") && !plain.hint.contains("delete"), "{plain:?}");
    let typed = bed.ask(create("POLICE")).await.unwrap_err();
    assert!(typed.message.contains("account police "), "the one that is there: {typed:?}");
}

#[tokio::test]
async fn given_secrets_are_checked_and_masked_in_the_reply() {
    let bed = Bed::new();
    let with = |secret: Option<&str>, bytes| {
        Request::CreateAccount(create_account::Request {
            account: account("police"),
            secret: secret.map(SecretText::new),
            bytes,
            cms_key: None,
        })
    };
    for (secret, bytes) in
        [(Some("AAEC"), None), (Some("!"), None), (None, Some(15)), (None, Some(65))]
    {
        assert!(bed.ask(with(secret, bytes)).await.unwrap_err().is(Code::BadSecret));
    }
    let given = "AAECAwQFBgcICQoLDA0ODw==";
    let Reply::CreateAccount(made) = bed.ask(with(Some(given), None)).await.unwrap() else {
        panic!()
    };
    assert_eq!(made.shared_secret.expose(), MASK);
    assert_eq!(secrets(&bed, true).await, [given]);
}

#[tokio::test]
async fn a_bad_cms_key_is_refused() {
    let bed = Bed::new();
    let request = Request::CreateAccount(create_account::Request {
        account: account("police"),
        secret: None,
        bytes: None,
        cms_key: Some("short".to_owned()),
    });
    assert!(bed.ask(request).await.unwrap_err().is(Code::Usage));
}

#[tokio::test]
async fn blocking_cuts_the_connection_ends_calls_and_mirrors_the_file() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    let (one, other) =
        (bed.attach("police", "+46701", 1).await, bed.attach("police", "+46702", 2).await);
    let Reply::BlacklistAdd(reply) = bed.ask(add("+46701")).await.unwrap() else { panic!() };
    assert_eq!((reply.result.as_str(), reply.closed), ("blocked", 1));
    told(&one, &["Unregister(Blacklisted)"]).await;
    assert!(other.lock().unwrap().is_empty());
    assert_eq!(*bed.calls.ended.lock().unwrap(), [uri("+46701")]);
    let path = bed.root.path().join("accounts/police/blacklist");
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("\n+46701\n"));
    let Reply::BlacklistAdd(again) = bed.ask(add("+46701")).await.unwrap() else { panic!() };
    assert_eq!(again.result, "already blocked");
    let typed = blacklist_add::Request { account: account("POLICE"), uri: uri("+46703") };
    let Reply::BlacklistAdd(typed) = bed.ask(Request::BlacklistAdd(typed)).await.unwrap() else {
        panic!()
    };
    assert_eq!(typed.account.as_str(), "police", "as it was created");
    let typed = blacklist_remove::Request { account: account("POLICE"), uri: uri("+46703") };
    let Reply::BlacklistRemove(typed) = bed.ask(Request::BlacklistRemove(typed)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(typed.account.as_str(), "police");
    let (police, number) = (account("police"), uri("+46701"));
    let remove = blacklist_remove::Request { account: police.clone(), uri: number };
    bed.ask(Request::BlacklistRemove(remove)).await.unwrap();
    let show = Request::ShowBlacklist(show_blacklist::Request { account: police });
    assert_eq!(bed.ask(show).await.unwrap(), Reply::ShowBlacklist(Vec::new()));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("+46701"));
}

/// Away for a moment, he could otherwise come back to them (`resume`).
#[tokio::test]
async fn blocking_a_user_who_is_away_ends_his_calls() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    let Reply::BlacklistAdd(reply) = bed.ask(add("+46701")).await.unwrap() else { panic!() };
    assert_eq!((reply.result.as_str(), reply.closed), ("blocked", 0));
    assert_eq!(*bed.calls.ended.lock().unwrap(), [uri("+46701")]);
}

async fn reload(bed: &Bed) -> reload_account::ReloadRow {
    let reply = bed.ask(Request::ReloadAccount(reload_account::Request {})).await.unwrap();
    let Reply::ReloadAccount(mut rows) = reply else { panic!() };
    rows.remove(0)
}

#[tokio::test]
async fn hand_edits_come_in_by_reload_and_mistakes_unblock_nobody() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    bed.ask(add("+46701")).await.unwrap();
    let client = bed.attach("police", "+46702", 2).await;
    let path = bed.root.path().join("accounts/police/blacklist");
    std::fs::write(&path, "0046702\nnonsense\n").unwrap();
    let row = reload(&bed).await;
    assert_eq!((row.blocked, row.unblocked, row.closed, row.problems.len()), (1, 0, 1, 1));
    told(&client, &["Unregister(Blacklisted)"]).await;
    std::fs::write(&path, "+46702 # lost phone\n").unwrap();
    let row = reload(&bed).await;
    assert_eq!((row.blocked, row.unblocked, row.problems.len()), (0, 1, 0));
    std::fs::remove_file(&path).unwrap();
    let row = reload(&bed).await;
    assert_eq!((row.blocked, row.unblocked), (0, 0), "a lost file lets nobody in");
    assert!(std::fs::read_to_string(&path).unwrap().contains("+46702"));
}

/// A synced list of thousands costs a few commands, not one for each number.
#[tokio::test]
async fn a_long_list_comes_in_by_few_commands() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    let path = bed.root.path().join("accounts/police/blacklist");
    let list: Vec<String> = (0..2_500).map(|n| format!("+46{n:09}")).collect();
    std::fs::write(&path, list.join("\n")).unwrap();
    let version = || bed.context.store.control().version;
    let before = version();
    let row = reload(&bed).await;
    assert_eq!((row.blocked, row.unblocked, row.problems.len()), (2_500, 0, 0));
    assert_eq!(version() - before, 3);
    std::fs::write(&path, "+46701\n").unwrap();
    let row = reload(&bed).await;
    assert_eq!((row.blocked, row.unblocked), (1, 2_500));
    assert_eq!(version() - before, 7);
}

#[tokio::test]
async fn without_a_quorum_nothing_changes_and_it_is_said() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    *bed.store.quorum.lock().unwrap() = false;
    assert!(bed.ask(add("+46701")).await.unwrap_err().is(Code::NoQuorum));
    let nobody = Request::PurgeClients(purge_clients::Request { account: account("fire") });
    assert!(bed.ask(nobody).await.unwrap_err().is(Code::NoSuchAccount));
}

#[tokio::test]
async fn purging_closes_connections_and_keeps_calls() {
    let bed = Bed::new();
    bed.ask(create("police")).await.unwrap();
    let client = bed.attach("police", "+46701", 1).await;
    let purge = |number: &str| {
        let (account, uri) = (account("police"), uri(number));
        Request::PurgeClient(purge_client::Request { account, uri })
    };
    let Reply::PurgeClient(reply) = bed.ask(purge("+46701")).await.unwrap() else { panic!() };
    assert_eq!(reply.closed, 1);
    told(&client, &["Unregister(Purged)"]).await;
    assert!(bed.calls.ended.lock().unwrap().is_empty());
    assert!(bed.ask(purge("+46709")).await.unwrap_err().is(Code::NotAttached));
    let typed = Request::PurgeClients(purge_clients::Request { account: account("POLICE") });
    let Reply::PurgeClients(typed) = bed.ask(typed).await.unwrap() else { panic!() };
    assert_eq!(typed.account.as_str(), "police", "as it was created");
}
