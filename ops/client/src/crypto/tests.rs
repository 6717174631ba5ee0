//! Messages over the end of a month.

use crs_keys::account_ca::{AccountCa, Validity};
use crs_types::{AccountId, DeviceId, Generation, OsRng, Period, Uri};

use super::*;

const NUMBERS: [&str; 2] = ["+46700000000", "+46700000001"];

/// Written without a connection just before the month ended, sealed when there was one again.
#[test]
fn a_message_that_waited_over_the_end_of_the_month_can_be_read() {
    let november: Period = "2026-11".parse().unwrap();
    let december = november.next();
    let written = Timestamp::from_millis(november.end().as_millis() - 600_000);
    let sealed = november.end().plus(std::time::Duration::from_secs(3_600));
    let account = AccountId::parse("acme").unwrap();
    let ca = AccountCa::generate(account.clone(), &mut OsRng, november.start()).unwrap();
    let trust = Trust::initial(account.clone(), vec![ca.certificate().clone()]);
    let keys = |number: &str, period: Period| {
        let (account, uri) = (account.clone(), Uri::parse(number).unwrap());
        let identity = UserIdentity { account, uri, period, generation: Generation(1) };
        UserKeys::issue(&ca, identity, Validity::of_period(period), &mut OsRng).unwrap()
    };
    let [sender, receiver] = NUMBERS.map(|number| {
        let device = DeviceId::parse("test").unwrap();
        let server = ServerTrust::PoolCa(Vec::new());
        let first = keys(number, november);
        let mut own = Identity::from_keys(&first, &trust, Vec::new(), server, device);
        own.store_keys(period_keys(&keys(number, december), 1), sealed);
        own
    });
    let newest = receiver.current_keys(sealed).and_then(|keys| keys.kem.as_ref()).unwrap();
    let cas = [ca.certificate().clone()];
    let receiver_key = kem_cert::verify(&newest.cert, &cas, sealed).unwrap();
    let mid = MessageId::from_parts(written, [7; 10]);
    let body = seal(&sender, &receiver_key, mid, b"in time", &mut OsRng).unwrap();
    let content = Content {
        n: 1,
        mid,
        from: sender.uri.clone(),
        account: account.clone(),
        time: sealed,
        body: crs_proto::wire::Bytes64(body),
    };
    match open(&receiver, &content, sealed) {
        Ok(plain) => assert_eq!(plain, b"in time"),
        Err(OpenFailure::UnknownKey(why) | OpenFailure::Unreadable(why)) => panic!("{why}"),
    }
}
