//! The HTTP/1.1 request that asks for a WebSocket (RFC 9112, RFC 6455 §4.2), read within bounds.
//!
//! Only this one request is ever read here, so what HTTP leaves to taste is refused: a body, a
//! second Host, folded headers, bare line feeds, anything before the request line.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longest request head in bytes.
pub const HEAD_MAX: usize = 8 * 1024;
/// Most header lines.
pub const HEADERS_MAX: usize = 64;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `crs.v1`.
    Crs,
    /// The test-only echo, when the configuration turns it on.
    Echo,
}

/// What to do with the bytes read so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The head is not complete.
    More,
    /// Answer `response` and speak WebSocket; `used` bytes belong to the head.
    Upgrade {
        /// What was asked for.
        protocol: Protocol,
        /// The 101 response.
        response: String,
        /// Length of the head.
        used: usize,
    },
    /// Answer `response` and close.
    Refuse(String),
}

/// Looks at what was read so far. `echo` allows [`Protocol::Echo`] at [`ECHO_PATH`].
pub(super) fn parse(bytes: &[u8], echo: bool) -> Progress {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() >= HEAD_MAX {
            Progress::Refuse(Refusal::TooLarge.response())
        } else {
            Progress::More
        };
    };
    if end + 4 > HEAD_MAX {
        return Progress::Refuse(Refusal::TooLarge.response());
    }
    match accept(&bytes[..end], echo) {
        Ok((protocol, response)) => Progress::Upgrade { protocol, response, used: end + 4 },
        Err(refusal) => Progress::Refuse(refusal.response()),
    }
}

/// Path of the test-only echo.
pub const ECHO_PATH: &str = "/crs/test/echo";

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Malformed(&'static str),
    NotFound,
    Method,
    NotWebSocket,
    Version,
    Subprotocol,
    TooLarge,
}

impl Refusal {
    fn response(self) -> String {
        let (status, extra, text) = match self {
            Self::Malformed(why) => ("400 Bad Request", "", why),
            Self::NotFound => ("404 Not Found", "", "the client protocol is at /crs/v1"),
            Self::Method => ("405 Method Not Allowed", "Allow: GET\r\n", "use GET"),
            Self::NotWebSocket => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\n",
                "this address speaks WebSocket, subprotocol crs.v1",
            ),
            Self::Version => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                "WebSocket version 13 is required",
            ),
            Self::Subprotocol => ("400 Bad Request", "", "offer the subprotocol crs.v1"),
            Self::TooLarge => (
                "431 Request Header Fields Too Large",
                "",
                "the head is limited to 8 KiB and 64 lines",
            ),
        };
        let length = text.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\n{extra}Content-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{text}\n"
        )
    }
}

/// The headers that matter, each at most once unless lists may be split.
#[derive(Default)]
struct Headers<'a> {
    host: bool,
    upgrade: Vec<&'a str>,
    connection: Vec<&'a str>,
    version: Option<&'a str>,
    key: Option<&'a str>,
    protocols: Vec<&'a str>,
}

fn accept(head: &[u8], echo: bool) -> Result<(Protocol, String), Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed("the head is not text"))?;
    if head.bytes().any(|b| b == 0 || (b < 0x20 && !b"\r\n\t".contains(&b))) {
        return Err(Refusal::Malformed("the head has control characters"));
    }
    let mut lines = head.split("\r\n");
    let path = request_line(lines.next().unwrap_or_default())?;
    let headers = headers(lines)?;
    let wanted = match path {
        crs_proto::UPGRADE_PATH => Protocol::Crs,
        ECHO_PATH if echo => Protocol::Echo,
        _ => return Err(Refusal::NotFound),
    };
    if !headers.host {
        return Err(Refusal::Malformed("the Host header is missing"));
    }
    if !has(&headers.upgrade, "websocket") || !has(&headers.connection, "upgrade") {
        return Err(Refusal::NotWebSocket);
    }
    if headers.version != Some("13") {
        return Err(Refusal::Version);
    }
    let key = headers.key.filter(|key| is_key(key));
    let key = key.ok_or(Refusal::Malformed("Sec-WebSocket-Key must be 16 bytes in base64"))?;
    let subprotocol = match wanted {
        Protocol::Crs if headers.protocols.contains(&crs_proto::SUBPROTOCOL) => {
            concat_line(crs_proto::SUBPROTOCOL)
        }
        Protocol::Crs => return Err(Refusal::Subprotocol),
        Protocol::Echo => headers.protocols.first().map_or(String::new(), |name| concat_line(name)),
    };
    let accept = derive_accept_key(key.as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
    );
    Ok((wanted, response))
}

fn concat_line(protocol: &str) -> String {
    format!("Sec-WebSocket-Protocol: {protocol}\r\n")
}

/// The path of `GET <path> HTTP/1.1`.
fn request_line(line: &str) -> Result<&str, Refusal> {
    let malformed = Refusal::Malformed("expected GET <path> HTTP/1.1");
    let mut words = line.split(' ');
    let (Some(method), Some(path), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed);
    };
    let token = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    if !token || !path.starts_with('/') || version != "HTTP/1.1" {
        return Err(malformed);
    }
    match method {
        "GET" => Ok(path),
        _ => Err(Refusal::Method),
    }
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Headers<'a>, Refusal> {
    let mut out = Headers::default();
    for (count, line) in lines.enumerate() {
        if count >= HEADERS_MAX {
            return Err(Refusal::TooLarge);
        }
        if line.contains(['\r', '\n']) {
            return Err(Refusal::Malformed("a line ends in CR LF"));
        }
        let (name, value) =
            line.split_once(':').ok_or(Refusal::Malformed("a header has a name and a colon"))?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Refusal::Malformed("a header name is a token"));
        }
        header(&mut out, &name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))?;
    }
    Ok(out)
}

fn header<'a>(out: &mut Headers<'a>, name: &str, value: &'a str) -> Result<(), Refusal> {
    let twice = Refusal::Malformed("a header that may occur once occurs twice");
    match name {
        "host" if std::mem::replace(&mut out.host, true) => Err(twice),
        "host" if value.is_empty() => Err(Refusal::Malformed("the Host header is empty")),
        "sec-websocket-key" if out.key.replace(value).is_some() => Err(twice),
        "sec-websocket-version" if out.version.replace(value).is_some() => Err(twice),
        // A body on this request could only be a second request in disguise.
        "transfer-encoding" => Err(Refusal::Malformed("the request must not have a body")),
        "content-length" if value != "0" => {
            Err(Refusal::Malformed("the request must not have a body"))
        }
        _ => {
            match name {
                "upgrade" => out.upgrade.extend(list(value)),
                "connection" => out.connection.extend(list(value)),
                "sec-websocket-protocol" => out.protocols.extend(list(value)),
                _ => {}
            }
            Ok(())
        }
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty() && item.bytes().all(is_token))
}

fn has(items: &[&str], wanted: &str) -> bool {
    items.iter().any(|item| item.eq_ignore_ascii_case(wanted))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    let (data, padding) = key.split_at_checked(22).unwrap_or((key, ""));
    padding == "==" && data.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// Door of the fuzz target `upgrade_request`: what is read as one request, however it is cut.
#[cfg(fuzzing)]
pub fn fuzz_upgrade(bytes: &[u8], cut: usize) {
    let whole = parse(bytes, true);
    match &whole {
        Progress::More => assert!(bytes.len() < HEAD_MAX, "more than may be read"),
        Progress::Upgrade { response, used, .. } => {
            assert!(*used <= bytes.len().min(HEAD_MAX), "{used} bytes of head");
            let lines = response.strip_suffix("\r\n\r\n").expect("the end of a head");
            assert!(lines.starts_with("HTTP/1.1 101 "), "{response}");
            assert!((4..=5).contains(&lines.split("\r\n").count()), "{response}");
            assert!(!lines.replace("\r\n", "").contains(char::is_control), "{response}");
            assert_eq!(parse(&bytes[..*used], true), whole, "what follows the head counts");
        }
        Progress::Refuse(response) => assert!(response.starts_with("HTTP/1.1 4"), "{response}"),
    }
    let early = parse(&bytes[..cut.min(bytes.len())], true);
    assert!(early == Progress::More || early == whole, "{early:?}, then {whole:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "GET /crs/v1 HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x, crs.v1\r\n\r\n";

    fn status(request: &str) -> String {
        match parse(request.as_bytes(), false) {
            Progress::Refuse(response) => response[9..12].to_owned(),
            other @ (Progress::More | Progress::Upgrade { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_rfc_6455_is_accepted_at_every_cut() {
        for cut in 0..GOOD.len() {
            assert_eq!(parse(&GOOD.as_bytes()[..cut], false), Progress::More, "{cut}");
        }
        let with_frame = format!("{GOOD}xyz");
        let Progress::Upgrade { protocol, response, used } = parse(with_frame.as_bytes(), false)
        else {
            panic!("refused");
        };
        assert_eq!((protocol, used), (Protocol::Crs, GOOD.len()));
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(response.contains("Sec-WebSocket-Protocol: crs.v1\r\n"));
        assert!(response.ends_with("\r\n\r\n"));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        for (request, expected) in [
            (with("/crs/v1", "/"), "404"),
            (with("/crs/v1", ECHO_PATH), "404"),
            (with("GET", "POST"), "405"),
            (with("GET", "get"), "400"),
            (with("HTTP/1.1", "HTTP/1.0"), "400"),
            (with("GET /", "GET  /"), "400"),
            (with("Upgrade: WebSocket\r\n", ""), "426"),
            (with("keep-alive, Upgrade", "keep-alive"), "426"),
            (with("Version: 13", "Version: 8"), "426"),
            (with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ="), "400"),
            (with("dGhlIHNhbXBsZSBub25jZQ==", "åå"), "400"),
            (with("x, crs.v1", "x"), "400"),
            (with("Host: a\r\n", ""), "400"),
            (with("Host: a\r\n", "Host: a\r\nHost: b\r\n"), "400"),
            (with("Host: a\r\n", "Host: a\r\nContent-Length: 5\r\n"), "400"),
            (with("Host: a\r\n", "Host: a\r\nTransfer-Encoding: chunked\r\n"), "400"),
            (with("Host: a\r\n", "Host: a\r\n folded\r\n"), "400"),
            (with("Host: a\r\n", "Host: a\nX: b\r\n"), "400"),
            (with("Host: a\r\n", "Host : a\r\n"), "400"),
            (with("Host: a\r\n", "Host: a\r\nX: \0\r\n"), "400"),
            (with("Host: a\r\n", &format!("Host: a\r\n{}", "X: y\r\n".repeat(64))), "431"),
            (with("Host: a\r\n", &format!("Host: a\r\nX: {}\r\n", "y".repeat(HEAD_MAX))), "431"),
            ("y".repeat(HEAD_MAX), "431"),
        ] {
            assert_eq!(status(&request), expected, "{request}");
        }
    }

    #[test]
    fn echo_is_there_only_when_turned_on() {
        let request = GOOD.replace("/crs/v1", ECHO_PATH).replace("x, crs.v1", "");
        assert!(matches!(
            parse(request.as_bytes(), true),
            Progress::Upgrade { protocol: Protocol::Echo, .. }
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let _ = parse(&bytes, true);
        }

        #[test]
        fn any_head_ends_in_an_answer(text in "[ -~\r\n]{0,200}") {
            let _ = parse(format!("GET /crs/v1 HTTP/1.1\r\n{text}\r\n\r\n").as_bytes(), true);
        }
    }
}
