//! The users of one update file, packed: 48 bytes each, whatever their certificates weigh.

use crs_types::uri::NUMBER_DIGITS_MAX;
use crs_types::{AccountId, BlobHash, Generation, Period, Uri};
use rustls_pki_types::CertificateDer;

/// A piece of the update file's unprotected content, which is kept as a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it starts, in bytes.
    pub offset: u32,
    /// How long it is, in bytes.
    pub length: u32,
}

/// What the index keeps about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Others may look the user up.
    pub listed: bool,
    /// Generation of the user's keys.
    pub generation: Generation,
    /// Signing certificate, which is the TLS client certificate.
    pub sign_cert: Span,
    /// Encapsulation certificate.
    pub kem_cert: Span,
    /// Package sealed to the user's enrolment key.
    pub package: Span,
}

/// One update file without its users' bytes.
#[derive(Debug)]
pub struct PeriodIndex {
    /// The month.
    pub period: Period,
    /// Serial of the file.
    pub serial: u64,
    /// The file's content.
    pub blob: BlobHash,
    /// The account's CA certificates.
    pub cas: Vec<CertificateDer<'static>>,
    /// Trust list for the users, as their packages carry it.
    pub trust: Vec<u8>,
    /// Domains that this one wants to talk with.
    pub connected: Vec<AccountId>,
    /// Number of team codes.
    pub team_codes: usize,
    numbers: Vec<u64>,
    users: Vec<User>,
}

/// An opened update file, as the index reads it. Slices lie anywhere; only their bytes count.
#[derive(Debug)]
pub struct PeriodContent<'a> {
    /// The month.
    pub period: Period,
    /// Serial of the file.
    pub serial: u64,
    /// The account's CA certificates.
    pub cas: Vec<&'a [u8]>,
    /// Trust list for the users.
    pub trust: &'a [u8],
    /// Domains that this one wants to talk with.
    pub connected: Vec<AccountId>,
    /// Number of team codes.
    pub team_codes: usize,
    /// The users.
    pub users: Vec<UserRow<'a>>,
}

/// A user of an opened update file.
#[derive(Debug)]
pub struct UserRow<'a> {
    /// The user.
    pub uri: &'a Uri,
    /// Others may look the user up.
    pub listed: bool,
    /// Generation of the user's keys.
    pub generation: Generation,
    /// Signing certificate.
    pub sign_cert: &'a [u8],
    /// Encapsulation certificate.
    pub kem_cert: &'a [u8],
    /// Sealed package.
    pub package: &'a [u8],
}

/// An update file that cannot be indexed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A user that is not a telephone number.
    #[error("{0} is not a telephone number")]
    NotANumber(Uri),
    /// A user that occurs twice.
    #[error("{0} occurs twice")]
    Twice(u64),
    /// Bytes that should lie in the content do not: parser and content disagree.
    #[error("the {0} of {1} is not in the file's content")]
    NotInContent(&'static str, Uri),
    /// Content beyond 4 GiB.
    #[error("the content has {0} bytes, at most 4 GiB can be indexed")]
    TooLarge(usize),
}

impl PeriodIndex {
    /// Builds the index of `content`, whose bytes are `bytes` and lie in `blob`.
    pub fn build(
        content: &PeriodContent<'_>,
        bytes: &[u8],
        blob: BlobHash,
    ) -> Result<Self, IndexError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(IndexError::TooLarge(bytes.len()));
        }
        let mut finder = Finder { bytes, at: 0 };
        let mut rows = Vec::with_capacity(content.users.len());
        for row in &content.users {
            let number = number(row.uri).ok_or_else(|| IndexError::NotANumber(row.uri.clone()))?;
            rows.push((number, finder.user(row)?));
        }
        rows.sort_unstable_by_key(|(number, _)| *number);
        if let Some(pair) = rows.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(IndexError::Twice(pair[0].0));
        }
        let (numbers, users) = rows.into_iter().unzip();
        Ok(Self {
            period: content.period,
            serial: content.serial,
            blob,
            cas: content.cas.iter().map(|ca| CertificateDer::from(ca.to_vec())).collect(),
            trust: content.trust.to_vec(),
            connected: content.connected.clone(),
            team_codes: content.team_codes,
            numbers,
            users,
        })
    }

    /// A user of this period.
    pub fn user(&self, uri: &Uri) -> Option<&User> {
        let index = self.numbers.binary_search(&number(uri)?).ok()?;
        self.users.get(index)
    }

    /// Numbers that begin with these digits, written as people write them; the shorter ones first.
    pub fn numbers_from(&self, digits: &str) -> impl Iterator<Item = String> {
        let room = NUMBER_DIGITS_MAX.checked_sub(digits.len());
        let room = room.filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        let head = with_digits(1, digits).filter(|_| room.is_some()).unwrap_or(u64::MAX);
        (0..=room.unwrap_or(0)).flat_map(move |more| {
            let scale = 10u64.saturating_pow(u32::try_from(more).unwrap_or(u32::MAX));
            let below = |end: u64| self.numbers.partition_point(|number| *number < end);
            let (from, to) =
                (head.saturating_mul(scale), (head.saturating_add(1)).saturating_mul(scale));
            let range = below(from)..below(to);
            self.numbers[range].iter().map(|number| format!("+{}", &number.to_string()[1..]))
        })
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// True when the file has no users.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// A telephone number as an integer: its digits behind a 1, so that leading zeros count. `None`
/// for test clients, which no update file holds.
fn number(uri: &Uri) -> Option<u64> {
    with_digits(1, uri.as_str().strip_prefix("tel:+")?)
}

fn with_digits(start: u64, digits: &str) -> Option<u64> {
    digits.bytes().try_fold(start, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Finds where parsed bytes lie in the content. Fields come in the content's order, so the
/// search goes on from the last find, and over a few bytes only.
struct Finder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Finder<'_> {
    fn user(&mut self, row: &UserRow<'_>) -> Result<User, IndexError> {
        let start = self.at;
        let mut find = |name, wanted| {
            self.find(wanted, start).ok_or_else(|| IndexError::NotInContent(name, row.uri.clone()))
        };
        // In the order of the encoded fields: then each search ends after a few bytes.
        let package = find("package", row.package)?;
        let kem_cert = find("encapsulation certificate", row.kem_cert)?;
        let sign_cert = find("signing certificate", row.sign_cert)?;
        let (listed, generation) = (row.listed, row.generation);
        Ok(User { listed, generation, sign_cert, kem_cert, package })
    }

    /// Looks forward from the last find, then (fields in another order) from the user's start.
    fn find(&mut self, wanted: &[u8], start: usize) -> Option<Span> {
        let found = position(&self.bytes[self.at..], wanted)
            .map(|found| self.at + found)
            .or_else(|| position(&self.bytes[start..], wanted).map(|found| start + found))?;
        self.at = self.at.max(found + wanted.len());
        let offset = u32::try_from(found).ok()?;
        Some(Span { offset, length: u32::try_from(wanted.len()).ok()? })
    }
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let Some((first, _)) = needle.split_first() else { return Some(0) };
    let last = haystack.len().checked_sub(needle.len())?;
    let mut from = 0;
    while from <= last {
        let hit = haystack[from..=last].iter().position(|byte| byte == first)? + from;
        if haystack[hit..].starts_with(needle) {
            return Some(hit);
        }
        from = hit + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    fn row<'a>(uri: &'a Uri, generation: u32, bytes: [&'a [u8]; 3]) -> UserRow<'a> {
        let [sign_cert, kem_cert, package] = bytes;
        let generation = Generation(generation);
        UserRow { uri, listed: true, generation, sign_cert, kem_cert, package }
    }

    fn content(users: Vec<UserRow<'_>>) -> PeriodContent<'_> {
        PeriodContent {
            period: "2026-11".parse().unwrap(),
            serial: 1,
            cas: vec![b"ca"],
            trust: b"trust",
            connected: Vec::new(),
            team_codes: 0,
            users,
        }
    }

    #[test]
    fn spans_point_at_the_users_bytes_in_any_order() {
        let bytes = b"..sign-b..kem-b..pack-b....pack-a..kem-a..sign-a";
        let (a, b) = (uri("+46701"), uri("+0046701"));
        let users = vec![
            row(&b, 2, [b"sign-b", b"kem-b", b"pack-b"]),
            row(&a, 1, [b"sign-a", b"kem-a", b"pack-a"]),
        ];
        let index = PeriodIndex::build(&content(users), bytes, BlobHash([0; 32])).unwrap();
        let at = |span: Span| {
            let start = span.offset as usize;
            std::str::from_utf8(&bytes[start..start + span.length as usize]).unwrap()
        };
        let user = index.user(&a).unwrap();
        assert_eq!((user.generation, at(user.sign_cert)), (Generation(1), "sign-a"));
        assert_eq!((at(user.kem_cert), at(user.package)), ("kem-a", "pack-a"));
        assert_eq!(index.user(&b).unwrap().generation, Generation(2));
        assert_eq!(index.user(&uri("+46702")), None);
        assert_eq!(index.user(&Uri::test_client(0, "x").unwrap()), None);
    }

    #[test]
    fn disagreement_is_an_error_not_a_wrong_span() {
        let a = uri("+46701");
        let users = || vec![row(&a, 1, [b"sign", b"kem", b"missing"])];
        let built = PeriodIndex::build(&content(users()), b"sign kem", BlobHash([0; 32]));
        assert_eq!(built.unwrap_err(), IndexError::NotInContent("package", a.clone()));
        let twice = vec![row(&a, 1, [b"s", b"k", b"p"]), row(&a, 1, [b"s", b"k", b"p"])];
        let built = PeriodIndex::build(&content(twice), b"pkspks", BlobHash([0; 32]));
        assert!(matches!(built.unwrap_err(), IndexError::Twice(_)));
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<User>() + size_of::<u64>() <= 48);
    }
}
