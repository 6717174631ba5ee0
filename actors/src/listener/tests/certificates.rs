//! Certificates are judged in the handshake: an alert, and no application byte.

use std::sync::Arc;

use crs_keys::account_ca::Validity;
use crs_keys::identity::{IssuerId, UserIdentity};
use crs_keys::test_ca::TestCa;
use crs_types::rng::SeededRng;
use crs_types::{Generation, Period, Uri};
use rustls::{AlertDescription, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::handshake::issuer;
use crate::accounts::{AccountRegistry, AccountsView};
use crate::context::NodeContext;
use crate::directory::KeyExchange;
use crate::testing::{
    Bed, Client, Domain, NOW, Options, Refusal, User, config, config_with, until,
};
use crate::trace::TraceEvent;

/// The alert that the server sent, having sent nothing else.
async fn alert(bed: &Bed, user: Option<&User>) -> AlertDescription {
    alert_with(bed, config(bed, user)).await
}

async fn alert_with(bed: &Bed, config: rustls::ClientConfig) -> AlertDescription {
    let error = match Client::tls(bed, config).await {
        Ok(mut tls) => {
            let mut byte = [0];
            // In TLS 1.3 the client's side has ended before the server judges.
            tls.read_exact(&mut byte).await.expect_err("no application byte")
        }
        Err(Refusal::Tls(error) | Refusal::Read(error)) => error,
        Err(Refusal::WebSocket(error)) => panic!("{error}"),
    };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert: {other:?} {error}"),
    }
}

fn month() -> Period {
    Period::at(NOW)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_are_refused_by_alert() {
    let (mut acme, mut brick) = (Domain::new("acme"), Domain::new("brick"));
    let good = acme.user("+46701");
    let other = brick.user("+46801");
    let unknown = Domain::new("nobody-here").user("+46901");
    // Another account's CA speaks for a user of acme.
    let forged = {
        let identity = good.keys.identity.clone();
        let (ca, mut rng) = (&brick.ca, SeededRng::new(3));
        let validity = Validity::of_period(month());
        let keys = crs_keys::package::UserKeys::issue(ca, identity, validity, &mut rng).unwrap();
        User { keys }
    };
    let mut long_ago = month();
    (0..4).for_each(|_| long_ago = long_ago.previous());
    let expired = acme.issue("+46701", long_ago, 1);
    let future = acme.issue("+46701", month().next(), 1);
    let _newer = acme.user_of("+46702", month(), 2);
    let revoked = acme.issue("+46702", month(), 1);
    let bed = Bed::start(&[&acme, &brick], Options::default()).await;
    use AlertDescription as A;
    assert_eq!(alert(&bed, None).await, A::CertificateRequired);
    for (what, user, expected) in [
        ("forged", &forged, A::UnknownCA),
        ("unknown account", &unknown, A::UnknownCA),
        ("expired", &expired, A::CertificateExpired),
        ("revoked", &revoked, A::CertificateRevoked),
    ] {
        assert_eq!(alert(&bed, Some(user)).await, expected, "{what}");
    }
    // rustls maps "not valid yet" to certificate_expired.
    assert_eq!(alert(&bed, Some(&future)).await, A::CertificateExpired);
    // The right certificate with another key.
    let stolen = (vec![good.keys.sign_cert.clone()], other.keys.sign_key.to_pkcs8().unwrap());
    let unverified = std::panic::AssertUnwindSafe(|| config_with(&bed, Some(stolen)));
    assert!(std::panic::catch_unwind(unverified).is_err(), "our own client refuses to try");
    bed.connect(&good).await;
    bed.connect(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_servers_is_refused() {
    let mut acme = Domain::new("acme");
    let _user = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    // The node's own kind of certificate: serverAuth, no user.
    let subject = crs_keys::pool_ca::NodeSubject {
        name: bed.context.name.clone(),
        dns: vec!["localhost".into()],
        ips: vec![],
    };
    let node = bed.ca.issue_node(&subject, &mut SeededRng::new(1), NOW).unwrap();
    let refused = alert_with(&bed, config_with(&bed, Some((node.chain, node.key)))).await;
    assert_eq!(refused, AlertDescription::AccessDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_update_revokes_at_the_next_handshake() {
    let mut acme = Domain::new("acme");
    let user = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    bed.connect(&user).await;
    let newer = acme.user_of("+46701", month(), 2);
    bed.swap(&[&acme]);
    assert_eq!(alert(&bed, Some(&user)).await, AlertDescription::CertificateRevoked);
    bed.connect(&newer).await;
}

/// What has changed while a handshake ran is noticed at its end.
#[test]
fn a_ca_that_is_retired_during_a_handshake_lets_nobody_in() {
    let mut acme = Domain::new("acme");
    let old = acme.user("+46701");
    let ids = [acme.ca.clone(), {
        acme.rotate_ca();
        acme.ca.clone()
    }]
    .map(|ca| IssuerId::of(ca.certificate()).unwrap());
    let new = acme.user("+46702");
    let accounts = AccountRegistry::new();
    let load = |version, domains: &[&Domain]| {
        let loaded = domains.iter().map(|d| (d.id.clone(), Arc::new(d.account())));
        accounts.swap(AccountsView { version, accounts: loaded.collect() });
    };
    let found = |user: &User| issuer(&accounts, &user.keys.identity, &user.keys.sign_cert).ok();
    load(1, &[&acme]);
    assert_eq!([&old, &new].map(found), ids.map(|id| Some(Some(id))));
    acme.retire_ca();
    let _ = acme.user("+46702");
    load(2, &[&acme]);
    assert_eq!([&old, &new].map(found), [None, Some(Some(ids[1]))]);
    load(3, &[]);
    assert_eq!([&old, &new].map(found), [None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn test_clients_come_from_loopback_with_the_pools_own_ca_only() {
    let mut acme = Domain::new("acme");
    let _user = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    let uri = Uri::test_client(0, "abc").unwrap();
    let mut rng = SeededRng::new(4);
    let ca = TestCa::derive(&bed.pool_key, &acme.id, &mut rng, NOW).unwrap();
    let keys = ca.issue(&uri, &mut rng, NOW).unwrap();
    let mut client = bed.attach(&User { keys }, "primary", "probe").await;
    let reply = client.ask("lookup", serde_json::json!({"uri": "+46701"})).await;
    assert_eq!(reply["err"]["code"], "not-found");
    // The account's real CA does not make test clients.
    let identity =
        UserIdentity { account: acme.id.clone(), uri, period: month(), generation: Generation(0) };
    let validity = Validity::of_period(month());
    let keys = crs_keys::package::UserKeys::issue(&acme.ca, identity, validity, &mut rng).unwrap();
    assert_eq!(alert(&bed, Some(&User { keys })).await, AlertDescription::UnknownCA);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_exchange_is_hybrid_unless_the_client_lacks_it() {
    let mut acme = Domain::new("acme");
    let (anna, bo) = (acme.user("+46701"), acme.user("+46702"));
    let bed = Bed::start(&[&acme], Options::default()).await;
    let _modern = bed.attach(&anna, "primary", "d").await;
    let mut old = config(&bed, Some(&bo));
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    let (chain, key) = (vec![bo.keys.sign_cert.clone()], bo.keys.sign_key.to_pkcs8().unwrap());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(bed.ca.certificate().clone()).unwrap();
    old = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap_or(old);
    let tls = Client::tls(&bed, old).await.unwrap();
    let mut client = Client::upgrade(tls).await.unwrap();
    let attach = serde_json::json!({"role": "primary", "device": "d"});
    assert_eq!(client.ask("attach", attach).await["ok"], true);
    let groups = |context: &NodeContext| -> Vec<KeyExchange> {
        context.directory.snapshot().iter().map(|r| r.key_exchange).collect()
    };
    assert_eq!(groups(&bed.context), [KeyExchange::Hybrid, KeyExchange::Classical]);
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_is_http_1_1_or_none() {
    let mut acme = Domain::new("acme");
    let anna = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    let with = |protocol: &str| {
        let mut config = config(&bed, Some(&anna));
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config
    };
    let tls = Client::tls(&bed, with("http/1.1")).await.unwrap();
    Client::upgrade(tls).await.unwrap();
    for protocol in ["h2", "crs-admin/1"] {
        let refused = alert_with(&bed, with(protocol)).await;
        assert_eq!(refused, AlertDescription::NoApplicationProtocol);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_never_resumed() {
    let mut acme = Domain::new("acme");
    let anna = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    let config = config(&bed, Some(&anna));
    for _ in 0..3 {
        let tls = Client::tls(&bed, config.clone()).await.unwrap();
        let kind = tls.get_ref().1.handshake_kind();
        assert_ne!(kind, Some(rustls::HandshakeKind::Resumed));
        Client::upgrade(tls).await.unwrap();
    }
}

/// Keys of somebody who has a CA of his own by the name of an account.
fn forged(account: &str, period: Period) -> User {
    let account = crs_types::AccountId::parse(account).unwrap();
    let mut rng = SeededRng::new(99);
    let ca = crs_keys::account_ca::AccountCa::generate(account.clone(), &mut rng, NOW).unwrap();
    let uri = Uri::parse("+46701").unwrap();
    let identity = UserIdentity { account, uri, period, generation: Generation(1) };
    let validity = Validity::of_period(period);
    User { keys: crs_keys::package::UserKeys::issue(&ca, identity, validity, &mut rng).unwrap() }
}

/// A stranger who makes certificates himself learns nothing about which accounts there are: what
/// is wrong with a certificate is told only to those whom the account issued one.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_learn_which_accounts_there_are() {
    let mut acme = Domain::new("acme");
    let _user = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    let mut long_ago = month();
    (0..4).for_each(|_| long_ago = long_ago.previous());
    for account in ["acme", "nobody-here"] {
        for period in [month(), long_ago, month().next()] {
            let forged = forged(account, period);
            let told = alert(&bed, Some(&forged)).await;
            assert_eq!(told, AlertDescription::UnknownCA, "{account} {period}");
        }
    }
}

/// The account's CA signs users' certificates directly. A path through other certificates is
/// never looked for: the work would be the stranger's to choose.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_in_between_are_not_looked_at() {
    let mut acme = Domain::new("acme");
    let user = acme.user("+46701");
    let bed = Bed::start(&[&acme], Options::default()).await;
    let key = || user.keys.sign_key.to_pkcs8().unwrap();
    // The account's own CA as an intermediate, and garbage that would not even parse.
    let mut chain = vec![user.keys.sign_cert.clone(), acme.ca.certificate().clone()];
    chain.extend((0..400u16).map(|n| n.to_be_bytes().to_vec().into()));
    let tls = Client::tls(&bed, config_with(&bed, Some((chain, key())))).await.unwrap();
    Client::upgrade(tls).await.unwrap();
    let forged = forged("acme", month());
    let chain = vec![forged.keys.sign_cert.clone(), acme.ca.certificate().clone()];
    let config = config_with(&bed, Some((chain, forged.keys.sign_key.to_pkcs8().unwrap())));
    assert_eq!(alert_with(&bed, config).await, AlertDescription::UnknownCA);
}

/// The operator is told why, and whose certificate it was when an account here has issued it;
/// strangers' names are not written anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_told_whose_certificate_was_refused_and_why() {
    let (mut acme, brick) = (Domain::new("acme"), Domain::new("brick"));
    let unknown = Domain::new("nobody-here").user("+46901");
    let mut long_ago = month();
    (0..4).for_each(|_| long_ago = long_ago.previous());
    let expired = acme.issue("+46701", long_ago, 1);
    let _newer = acme.user_of("+46702", month(), 2);
    let revoked = acme.issue("+46702", month(), 1);
    let bed = Bed::start(&[&acme, &brick], Options::default()).await;
    for user in [None, Some(&unknown), Some(&forged("acme", month())), Some(&expired)] {
        alert(&bed, user).await;
    }
    alert(&bed, Some(&revoked)).await;
    let expected = ["expired", "no-certificate", "other-ca", "revoked", "unknown-account"];
    let expected = expected.map(|word| (word, 1)).into();
    until("all are counted", || bed.counts.all() == expected).await;
    let told = bed.trace.take().into_iter().filter_map(|event| {
        let TraceEvent::Object(e) = event else { return None };
        Some((e.account.to_string(), e.from.to_string(), e.event))
    });
    let line = |uri: &str, why: &str| {
        let uri = Uri::parse(uri).unwrap().to_string();
        ("acme".to_owned(), uri, format!("certificate refused: {why}"))
    };
    let lines = [line("+46701", "expired"), line("+46702", "revoked")];
    assert_eq!(told.collect::<Vec<_>>(), lines);
}

/// Probes and load balancers only look whether the port is open: that is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_closes_without_a_byte_is_no_failed_handshake() {
    let options = Options { limit_loopback: true, ..Options::default() };
    let bed = Bed::start(&[], options).await;
    for _ in 0..100 {
        drop(tokio::net::TcpStream::connect(bed.addr).await.unwrap());
    }
    until("all are counted", || bed.counts.all() == [("unused", 100)].into()).await;
    // Half a greeting is one, and the address has not used up its failures before.
    let mut half = tokio::net::TcpStream::connect(bed.addr).await.unwrap();
    half.write_all(&[0x16, 3, 1]).await.unwrap();
    drop(half);
    let expected = [("unused", 100), ("broken-off", 1)].into();
    until("it is counted", || bed.counts.all() == expected).await;
}
