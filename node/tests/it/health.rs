//! The health check: test clients through the real listener, message path and relay.

use crs_admin_api::command::health_check::{self, Health, What};
use crs_admin_api::command::{create_account, show_relays};
use crs_admin_api::{Reply, Request};
use crs_types::AccountId;

use crate::program::Running;

fn health(node: &Running, what: What) -> health_check::Reply {
    let request = Request::HealthCheck(health_check::Request { what, local_only: true });
    let reply = node.ask(&request);
    let Reply::HealthCheck(reply) = reply else { panic!("{reply:?}") };
    reply
}

fn result(reply: &health_check::Reply, name: &str) -> (Health, String) {
    let test = reply.tests.iter().find(|test| test.name == name);
    let test = test.unwrap_or_else(|| panic!("no {name} in {reply:?}"));
    (test.result, test.description.clone())
}

#[test]
fn an_account_is_tried_with_a_call_and_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    let before = health(&node, What::System);
    assert_eq!(result(&before, "media loop").0, Health::Warning, "no account to try it with");

    let account = AccountId::parse("police").unwrap();
    node.ask(&Request::CreateAccount(create_account::Request {
        account: account.clone(),
        secret: None,
        bytes: None,
        cms_key: None,
    }));
    let reply = health(&node, What::Account(account));
    for name in ["attach", "lookup", "message", "call"] {
        let (result, description) = result(&reply, name);
        assert_eq!(result, Health::Ok, "{name}: {description}");
    }
    let (_, call) = result(&reply, "call");
    assert!(call.contains("caller heard") && call.contains("callee heard"), "{call}");
    let (media, description) = result(&health(&node, What::System), "media loop");
    assert_eq!(media, Health::Ok, "{description}");

    // Nothing is left behind.
    let scratch = dir.path().join("pool/data/tmp");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
    let relays = node.ask(&Request::ShowRelays(show_relays::Request::default()));
    let Reply::ShowRelays(rows) = relays else { panic!("{relays:?}") };
    assert_eq!(rows, []);
}
