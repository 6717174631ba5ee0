//! Texts of outside origin into the shared vocabulary: URIs, account ids, periods, message ids.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = crs_types::Uri::parse(text) {
        assert_eq!(crs_types::Uri::parse(uri.as_str()).as_ref(), Ok(&uri));
        assert_eq!(crs_types::Uri::parse(&uri.to_string()).as_ref(), Ok(&uri));
    }
    if let Ok(account) = crs_types::AccountId::parse(text) {
        assert_eq!(account.as_str(), text);
    }
    if let Ok(period) = text.parse::<crs_types::Period>() {
        assert_eq!(period.to_string(), text);
        assert_eq!(period.next().previous(), period);
    }
    let _ = text.parse::<crs_types::MessageId>();
    let _ = crs_types::DeviceId::parse(text);
});
