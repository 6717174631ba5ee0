//! Values of directives: every function takes one word and says what it expected.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use crs_actors::settings::Subject;
use crs_types::addr::normalised;
use crs_types::{AccountId, NodeName, Secret, Uri};

use super::problem::Wrong;
use super::types::{KeyLength, SourceKind};

/// The words after a directive's name.
pub(super) struct Args<'a> {
    words: &'a [String],
    base: Option<&'a Path>,
}

impl<'a> Args<'a> {
    /// `file` is the name of the source, from which relative paths start.
    pub(super) fn new(words: &'a [String], file: &'a str, kind: SourceKind) -> Self {
        let base = match kind {
            SourceKind::Pool | SourceKind::Local | SourceKind::Relay => Path::new(file).parent(),
            SourceKind::CommandLine => None,
        };
        Self { words, base }
    }

    /// A path; a relative one starts at the folder of the file it is in.
    pub(super) fn path(&mut self, what: &str) -> Result<PathBuf, Wrong> {
        let word = self.next(what)?;
        if word.is_empty() || word.contains('\0') {
            return Err(Wrong::expected("expected a path").got(word));
        }
        Ok(self.base.map_or_else(|| PathBuf::from(word), |base| base.join(word)))
    }

    /// The next word; `what` completes "expected …".
    pub(super) fn next(&mut self, what: &str) -> Result<&'a str, Wrong> {
        self.maybe().ok_or_else(|| Wrong::expected(format!("expected {what}, but the line ends")))
    }

    /// The next word if there is one.
    pub(super) fn maybe(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// All words that are left.
    pub(super) fn rest(&mut self) -> &'a [String] {
        std::mem::take(&mut self.words)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Wrong> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(Wrong::expected("expected the end of the line").got(word)),
        }
    }
}

/// One of a fixed list of words.
pub(super) fn choice<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let wrong = Wrong::expected(format!("expected {}", names.join(" or ")));
        wrong.got(word).near(word, &names)
    })
}

/// A whole number between two bounds.
pub(super) fn number<T>(word: &str, what: &str, min: T, max: T) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    word.parse::<T>().ok().filter(|n| *n >= min && *n <= max).ok_or_else(|| {
        Wrong::expected(format!("expected {what}, a whole number from {min} to {max}")).got(word)
    })
}

/// Milliseconds between two bounds.
pub(super) fn millis(word: &str, what: &str, min: u64, max: u64) -> Result<Duration, Wrong> {
    let what = format!("{what} in milliseconds");
    number(word, &what, min, max).map(Duration::from_millis)
}

/// Bytes, optionally with KiB, MiB or GiB.
pub(super) fn bytes(word: &str, min: u64, max: u64) -> Result<u64, Wrong> {
    let units = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let value = units.iter().find_map(|(unit, factor)| {
        word.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*factor)
    });
    value.filter(|n| (min..=max).contains(n)).ok_or_else(|| {
        let text = format!("expected a size such as 16MiB, from {min} to {max} bytes");
        Wrong::expected(text).got(word)
    })
}

pub(super) fn port(word: &str) -> Result<u16, Wrong> {
    number(word, "a port", 1u16, u16::MAX)
}

pub(super) fn ip(word: &str) -> Result<IpAddr, Wrong> {
    word.parse::<IpAddr>()
        .map(normalised)
        .map_err(|_| Wrong::expected("expected an IPv4 or IPv6 address").got(word))
}

/// `<ip>:<port>`, `[<ip6>]:<port>` or `<port>` (all IPv4 addresses). Port 0 takes a free one. An
/// address alone is refused: whoever forgot the port would get another one than he thinks of.
pub(super) fn listen(word: &str, usual_port: u16) -> Result<SocketAddr, Wrong> {
    let bare_port = || word.parse::<u16>().ok().map(|port| (Ipv4Addr::UNSPECIFIED, port).into());
    word.parse::<SocketAddr>().ok().or_else(bare_port).ok_or_else(|| match word.parse::<IpAddr>() {
        Ok(ip) => {
            let whole = SocketAddr::new(ip, usual_port).to_string();
            let text = format!("expected a port behind the address, such as {whole}");
            Wrong { nearest: Some(whole), ..Wrong::expected(text).got(word) }
        }
        Err(_) => {
            let text = "expected an address to listen on, such as 0.0.0.0:5223 or [::]:5223";
            Wrong::expected(text).got(word)
        }
    })
}

/// `ip/mask` or `uri@account-id` (C-079).
pub(super) fn subject(word: &str) -> Result<Subject, Wrong> {
    // No address has an @, but whoever writes a user may put a / into it.
    if let Some((ip, prefix)) = word.split_once('/').filter(|_| !word.contains('@')) {
        return network(ip, prefix).ok_or_else(|| {
            Wrong::expected("expected a network such as 10.0.0.0/8 with no bits behind the mask")
                .got(word)
        });
    }
    let Some((uri, account)) = word.rsplit_once('@') else {
        return Err(Wrong::expected("expected ip/mask or uri@account-id").got(word));
    };
    let wrong = |why: String| Wrong::expected(format!("expected uri@account-id: {why}")).got(word);
    let uri = Uri::parse(uri).map_err(|error| wrong(error.to_string()))?;
    let account = AccountId::parse(account).map_err(|error| wrong(error.to_string()))?;
    Ok(Subject::User { uri, account })
}

fn network(ip: &str, prefix: &str) -> Option<Subject> {
    let ip: IpAddr = ip.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let host_bits = match ip {
        IpAddr::V4(v4) => (prefix <= 32)
            .then(|| u128::from(u32::from(v4)) & ((1u128 << (32 - u32::from(prefix))) - 1))?,
        IpAddr::V6(v6) => (prefix <= 128).then(|| {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            u128::from(v6) & !mask
        })?,
    };
    (host_bits == 0).then_some(Subject::Network { ip, prefix })
}

pub(super) fn node_name(word: &str) -> Result<NodeName, Wrong> {
    NodeName::parse(word).map_err(|error| Wrong::expected(error.to_string()).got(word))
}

/// A DNS name (for the server's certificate).
pub(super) fn dns_name(word: &str) -> Result<String, Wrong> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if word.len() <= 253 && !word.is_empty() && word.split('.').all(label) {
        Ok(word.to_ascii_lowercase())
    } else {
        Err(Wrong::expected("expected a DNS name such as crs.example.org").got(word))
    }
}

pub(super) fn key_length(word: &str) -> Result<KeyLength, Wrong> {
    choice(word, &[("128bit", KeyLength::Bits128), ("256bit", KeyLength::Bits256)])
}

/// A generated secret in hexadecimal or base64 (design.md §4). The text never reaches a message.
pub(super) fn secret(word: &str, length: KeyLength) -> Result<Secret, Wrong> {
    let hint = format!("make one with: openssl rand -base64 {}", length.bytes());
    let Some(bytes) = decoded(word) else {
        let text = format!("expected a generated secret in base64 or hexadecimal; {hint}");
        return Err(Wrong::expected(text));
    };
    let secret = Secret::new(bytes);
    if secret.len() < length.bytes() {
        let text = format!(
            "expected at least {} bytes of secret for {length}, got {}; {hint}",
            length.bytes(),
            secret.len()
        );
        return Err(Wrong::expected(text));
    }
    if looks_chosen(word, secret.expose()) {
        let text = format!("expected a generated secret, not words or a pattern; {hint}");
        return Err(Wrong::expected(text));
    }
    Ok(secret)
}

fn decoded(word: &str) -> Option<Vec<u8>> {
    let is_hex = word.len().is_multiple_of(2) && word.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex && word.len() >= 32 {
        return (0..word.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&word[at..at + 2], 16).ok())
            .collect();
    }
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(word).ok())
}

/// Catches what nobody generates: few different bytes, or base64 text in one case only (a chance
/// of 1 in 10^5 for 22 random characters).
fn looks_chosen(word: &str, bytes: &[u8]) -> bool {
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit());
    let both_cases = word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_uppercase());
    let few = different.len() < 8;
    zeroize::Zeroize::zeroize(&mut different);
    few || !(hex || both_cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generated_secrets_pass() {
        let good256 = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
        assert_eq!(secret(good256, KeyLength::Bits256).unwrap().len(), 32);
        assert_eq!(
            secret("00112233445566778899aabbccddeeff", KeyLength::Bits128).unwrap().len(),
            16
        );
        for (word, length) in [
            ("00112233445566778899aabbccddeeff", KeyLength::Bits256),
            ("hunter2", KeyLength::Bits128),
            ("correcthorsebatterystaplecorrecthorsebattery", KeyLength::Bits256),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", KeyLength::Bits256),
            ("not base64!", KeyLength::Bits128),
            ("", KeyLength::Bits128),
        ] {
            let wrong = secret(word, length).unwrap_err();
            assert!(wrong.expected.contains("openssl rand"), "{wrong:?}");
            assert!(word.is_empty() || !wrong.expected.contains(word), "{wrong:?}");
            assert_eq!(wrong.got, None);
        }
    }

    #[test]
    fn listen_addresses_have_short_forms() {
        for (word, expected) in
            [("127.0.0.1:7", "127.0.0.1:7"), ("[::1]:0", "[::1]:0"), ("5224", "0.0.0.0:5224")]
        {
            assert_eq!(listen(word, 5223).unwrap().to_string(), expected);
        }
        for (word, whole) in [("10.0.0.1", "10.0.0.1:5223"), ("::1", "[::1]:5223")] {
            let wrong = listen(word, 5223).unwrap_err();
            assert!(wrong.expected.starts_with("expected a port behind the address"), "{wrong:?}");
            assert_eq!(wrong.nearest.as_deref(), Some(whole));
        }
        assert!(listen("localhost:1", 5223).is_err());
        assert!(listen("1.2.3.4:70000", 5223).is_err());
    }

    #[test]
    fn networks_must_end_at_the_mask() {
        assert!(subject("10.0.0.0/8").is_ok());
        assert!(subject("0.0.0.0/0").is_ok());
        assert!(subject("::/0").is_ok());
        assert!(subject("2001:db8::/32").is_ok());
        assert!(subject("10.1.2.3/32").is_ok());
        for word in ["10.0.0.1/8", "10.0.0.0/33", "::/129", "2001:db8::1/64", "x/8", "10.0.0.0/"] {
            assert!(subject(word).is_err(), "{word}");
        }
        assert!(matches!(subject("+46701234567@police"), Ok(Subject::User { .. })));
        assert!(subject("+46701234567").is_err());
        assert!(subject("+46701234567@no account").is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("16MiB", 1, u64::MAX), Ok(16 << 20));
        assert_eq!(bytes("4096", 1, 4096), Ok(4096));
        assert!(bytes("99999999999GiB", 1, u64::MAX).is_err());
        assert!(bytes("MiB", 1, 10).is_err());
    }
}
