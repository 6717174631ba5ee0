//! Whole configurations: what passes, and what is said about what does not.

use std::time::Duration;

use crs_actors::settings::KeepAlive;
use proptest::prelude::*;

use super::*;

const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

fn source(kind: SourceKind, name: &str, text: &str) -> Source {
    Source { kind, name: name.into(), bytes: text.as_bytes().to_vec() }
}

fn sources(pool: &str, local: &str, relay: &str) -> Sources {
    Sources::new(vec![
        source(SourceKind::Pool, "crs.conf", pool),
        source(SourceKind::Local, "crs-local.conf", local),
        source(SourceKind::Relay, "crs-relay.conf", relay),
    ])
}

fn read(pool: &str, local: &str, relay: &str) -> Result<Config, Vec<String>> {
    parse(&sources(pool, local, relay), Strictness::Strict)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Problems of one extra line in an otherwise correct crs.conf.
fn problems_of(line: &str) -> Vec<String> {
    read(&format!("key {KEY}\nip crs1 192.0.2.1\n{line}\n"), "", "").unwrap_err()
}

#[test]
fn everything_the_manuals_know_is_understood() {
    let pool = format!(
        "[GLOBAL]\nkey {KEY} \"256bit\"\ncps cps.cryptify.net 5230 id-1 00112233445566778899aabbccddeeff 128bit\n\
         features push\n\n[POOL]\nip crs1 203.0.113.101\nip crs2 203.0.113.102 # the other\n[HOSTS]\nhost crs1\n\
         app attach\nhost crs2\napp session\n[PUSH-CONFIG]\npush-config apns type direct\niw-listen-port 8081\n\
         keep-alive 10.0.0.0/8 tcp 60000\nkeep-alive +46701234567@police ws 300000 5000\n\
         detach-cleanup 0.0.0.0/0 10000\naddr-map 203.0.113.101 198.51.100.1\n"
    );
    let local = "crsname crs2\ndb-backup replicate-from-peer\n";
    let relay = "MAX_RTP_RELAYS=10\nMAX_RTP_PROXY_RELAYS=11\nMAX_OPAQUE_RELAYS=12\n\
                 MAX_OPAQUE_PROXY_RELAYS = 13\nMAX_OPAQUE_MULTICAST_RELAYS 14\n";
    let config = read(&pool, local, relay).unwrap();
    assert_eq!(config.name.as_str(), "crs2");
    assert_eq!(config.pool.keys[0].length, KeyLength::Bits256);
    assert_eq!(config.pool.hosts.len(), 2);
    assert_eq!(config.pool.iw_listen_port, 8081);
    assert_eq!(config.listen.iw.port(), 8081);
    assert_eq!(config.db_backup, DbBackup::ReplicateFromPeer);
    assert_eq!(config.media_addresses, ["203.0.113.102".parse::<std::net::IpAddr>().unwrap()]);
    assert!(config.push.enabled && config.push.cps.is_some());
    assert_eq!(config.push.providers, [PushProvider::Apns(Apns::Direct)]);
    assert_eq!(
        config.settings.keep_alive.iter().map(|rule| rule.keep_alive).collect::<Vec<_>>(),
        [
            KeepAlive::Tcp { interval: Duration::from_secs(60) },
            KeepAlive::Ws { interval: Duration::from_secs(300), grace: Duration::from_secs(5) },
        ]
    );
    assert_eq!(config.settings.detach_cleanup[0].delay, Duration::from_secs(10));
    let limits = config.relay.limits;
    assert_eq!(
        [limits.rtp, limits.rtp_proxy, limits.opaque, limits.opaque_proxy, limits.opaque_multicast],
        [Some(10), Some(11), Some(12), Some(13), Some(14)]
    );
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].starts_with("crs.conf:11: warning: app: modules"), "{warnings:?}");
    assert!(warnings[1].starts_with("crs.conf:13: warning: app: modules"), "{warnings:?}");
    let starts: Vec<&str> =
        warnings[2..].iter().map(|w| w.split(" kept,").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "crs.conf:10: warning: host: crs1:",
            "crs.conf:3: warning: cps: is",
            "crs.conf:4: warning: features: is",
            "crs.conf:15: warning: push-config: is",
            "crs-local.conf:2: warning: db-backup: is",
        ]
    );
}

/// Two halves that know nothing of each other look like a pool to whoever wrote two hosts.
#[test]
fn further_hosts_are_told_as_not_joined() {
    let warnings = |pool: &str| -> Vec<String> {
        let config = read(&format!("key {KEY}\n{pool}"), "crsname crs1", "").unwrap();
        config.warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        warnings("host crs1\nhost crs2\nhost crs3\nip crs1 192.0.2.1"),
        [
            "crs.conf:3: warning: host: crs2, crs3: kept, but not joined yet; each server is an independent node \
          with its own data, and what is posted to one is not on the other: let clients reach one server only"
        ]
    );
    let by_ip = warnings("ip crs1 192.0.2.1\nip crs2 192.0.2.2");
    assert!(
        by_ip[0].starts_with("crs.conf:3: warning: ip: crs2: kept, but not joined"),
        "{by_ip:?}"
    );
    assert_eq!(warnings("host crs1\nip crs1 192.0.2.1\nfeatures"), [""; 0]);
}

#[test]
fn defaults_are_those_of_the_manuals() {
    let config = read(&format!("key {KEY}\nip crs1 192.0.2.1"), "", "").unwrap();
    assert_eq!(config.pool.keys[0].length, KeyLength::Bits256);
    assert_eq!(config.listen.client.to_string(), "0.0.0.0:5223");
    assert_eq!(config.listen.media[0].to_string(), "0.0.0.0:146");
    assert_eq!(config.listen.iw.to_string(), "0.0.0.0:8080");
    assert_eq!(config.db_backup, DbBackup::None);
    assert_eq!(config.relay.limits, crs_relay::config::RelayLimits::default());
    assert_eq!(config.paths.data.to_str(), Some("/opt/crs/data"));
    assert!(!config.push.enabled);
    assert_eq!(config.warnings, []);
}

#[test]
fn a_misspelt_directive_names_file_line_and_the_nearest() {
    assert_eq!(
        problems_of("keepalive 10.0.0.0/8 ws 1"),
        ["crs.conf:3: expected a directive, got \"keepalive\" (nearest: keep-alive)"]
    );
    let lenient = parse(
        &sources(&format!("key {KEY}\nip crs1 192.0.2.1\nkeepalive x"), "", ""),
        Strictness::Lenient,
    );
    assert_eq!(lenient.unwrap().warnings.len(), 1);
}

#[test]
fn bad_values_say_what_was_expected() {
    for (line, expected) in [
        ("keep-alive 10.0.0.0/8 wss 60000", "keep-alive: expected tcp or ws"),
        ("keep-alive 10.0.0.0/8 tcp 60000 5", "expected no grace period"),
        ("keep-alive 10.0.0.1/8 tcp 60000", "expected a network"),
        ("keep-alive +46701@bad/acc ws 2000", "expected uri@account-id: "),
        ("keep-alive 10.0.0.0/8 tcp 5", "from 1000 to 86400000, got \"5\""),
        ("detach-cleanup +46701@police x", "expected a delay in milliseconds"),
        ("addr-map 10.0.0.1 ::1", "expected two IPv4 or two IPv6 addresses"),
        ("ip crs1 192.0.2.9", "expected one address for each node"),
        ("ip crs2 300.0.0.1", "expected an IPv4 or IPv6 address"),
        ("iw-listen-port 0", "a whole number from 1 to 65535"),
        ("iw-listen-port", "expected a port, but the line ends"),
        ("iw-listen-port 1 2", "expected the end of the line, got \"2\""),
        ("features pusch", "(nearest: push)"),
        ("server-name -x", "expected a DNS name"),
        ("crsname crs1", "expected this directive in crs-local.conf"),
        ("key hunter2", "expected a generated secret"),
        (
            "key 00112233445566778899aabbccddeeff",
            "expected at least 32 bytes of secret for 256bit, got 16",
        ),
        ("[GLOBL]", "(nearest: GLOBAL)"),
        ("limit cows 1", "expected connections or sessions or account-bytes"),
        ("limit account-bytes 1KiB", "expected a size such as 16MiB"),
    ] {
        let problems = problems_of(line);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{line}: {problems:?}");
        assert!(problems[0].starts_with("crs.conf:3: "), "{problems:?}");
    }
}

/// Two listeners cannot share a port; the line that can be changed is named, and the other one.
#[test]
fn two_listeners_on_one_port_are_told_with_both_lines() {
    let local = |text: &str| read(&format!("key {KEY}\nip crs1 192.0.2.1"), text, "");
    let told = |text: &str| local(text).unwrap_err().join("\n");
    assert_eq!(
        told("crsname crs1\nclient-listen 127.0.0.1:7000\nmetrics-listen 127.0.0.1:7000"),
        "crs-local.conf:3: metrics-listen: expected a port of its own; client-listen has 127.0.0.1:7000 \
         (crs-local.conf:2), got 127.0.0.1:7000"
    );
    assert_eq!(
        told("client-listen 9146"),
        "crs-local.conf:1: client-listen: expected a port of its own; metrics-listen has 127.0.0.1:9146 \
         (by default), got 0.0.0.0:9146"
    );
    let media = told("media-listen [::1]:146\nmedia-listen [::]:146");
    assert!(media.starts_with("crs-local.conf:2: media-listen: expected a port of its own; media"));
    let iw = read(&format!("key {KEY}\nip crs1 192.0.2.1\niw-listen-port 5223"), "", "");
    assert!(iw.unwrap_err()[0].starts_with("crs.conf:3: iw-listen-port: expected a port"));
    for fine in [
        "client-listen 127.0.0.1:7000\nmetrics-listen 127.0.0.2:7000",
        "client-listen 127.0.0.1:7000\nmedia-listen 127.0.0.1:7000",
        "client-listen 127.0.0.1:0\nmetrics-listen 127.0.0.1:0\niw-listen 127.0.0.1:0",
        "media-listen 0.0.0.0:146\nmedia-listen [::1]:146",
        "media-listen 0.0.0.0:146\nmedia-listen [::]:146",
        "client-listen 9146\nmetrics-listen off",
    ] {
        assert!(local(fine).is_ok(), "{fine}: {:?}", local(fine).err());
    }
}

/// One mistake, one problem.
#[test]
fn a_refused_line_is_not_told_as_missing_too() {
    let problems = read("key hunter2\nip crs1 localhost\n", "media-address 192.0.2.1", "");
    let problems = problems.unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("crs.conf:1: key: expected a generated secret"));
    assert!(problems[1].starts_with("crs.conf:2: ip: expected an IPv4"));
    for (pool, local) in [
        ("key hunter2\nip crs1 192.0.2.1", ""),
        ("keyy x\nip crs1 192.0.2.1", ""),
        (&format!("key {}\nip crs1 192.0.2.1", "x".repeat(5000)), ""),
        (&format!("key {KEY}\nip crs1 300.0.0.1"), "crsname crs1"),
        (&format!("key {KEY}\nip crs1 {}", "x".repeat(5000)), "crsname crs1"),
        (&format!("key {KEY}\nip crs1 192.0.2.1"), "crsname crs2"),
        (&"\n".repeat(FILE_MAX + 1), "crsname crs1"),
    ] {
        let problems = read(pool, local, "").unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
    let lenient = parse(&sources("keyy x\nip crs1 192.0.2.1", "", ""), Strictness::Lenient);
    assert_eq!(lenient.unwrap_err().len(), 2, "a warning does not stand for the key");
}

/// What two files disagree about stands in a line of one of them.
#[test]
fn what_several_lines_are_needed_for_is_told_with_a_line() {
    let pool = format!("key {KEY}\nhost crs1\nip crs1 192.0.2.1\nip crs9 192.0.2.9");
    let told = read(&pool, "\ncrsname crs2", "").unwrap_err();
    assert_eq!(
        told,
        [
            "crs.conf:4: ip: expected a line `host crs9`, as there is `ip crs9 …`",
            "crs-local.conf:2: crsname: expected a crsname that crs.conf declares (crs1), got \"crs2\" (nearest: \
             crs1)"
        ]
    );
}

/// Nobody can count the lines of a command line.
#[test]
fn the_command_line_is_told_as_set() {
    let pool = format!("key {KEY}\nip crs1 192.0.2.1");
    let told = |set: &str| {
        let sources = Sources::new(vec![
            source(SourceKind::Pool, "crs.conf", &pool),
            source(SourceKind::CommandLine, COMMAND_LINE, set),
        ]);
        parse(&sources, Strictness::Strict).unwrap_err()[0].to_string()
    };
    assert_eq!(told("log-files 3\nfoo bar"), "--set: expected a directive, got \"foo\"");
    assert_eq!(
        told("client-listen 127.0.0.1:7\nmetrics-listen 127.0.0.1:7"),
        "--set: metrics-listen: expected a port of its own; client-listen has 127.0.0.1:7 (--set), got 127.0.0.1:7"
    );
}

/// A media address that no socket serves makes every call fail.
#[test]
fn an_address_of_a_family_that_nothing_listens_on_is_told() {
    let warnings = |ip: &str, local: &str| -> Vec<String> {
        let config = read(&format!("key {KEY}\nip crs1 {ip}"), local, "").unwrap();
        config.warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        warnings("2001:db8::1", ""),
        [
            "crs.conf:2: warning: ip: expected an address of a family that media-listen serves (0.0.0.0:146 by \
             default): calls would have no media, got 2001:db8::1",
            "crs.conf:2: warning: ip: expected an address of the family that client-listen serves (0.0.0.0:5223 by \
             default): clients would not reach the node there, got 2001:db8::1",
        ]
    );
    let media = warnings("192.0.2.1", "media-listen [::]:146\nmedia-address 192.0.2.2");
    assert_eq!(media.len(), 1, "{media:?}");
    assert!(media[0].starts_with("crs-local.conf:2: warning: media-address:"), "{media:?}");
    for (ip, local) in [
        ("2001:db8::1", "media-listen [::]:146\nclient-listen [::]:5223"),
        ("192.0.2.1", "client-listen [::]:5223"),
        ("192.0.2.1", ""),
        ("192.0.2.1", "media-listen 0.0.0.0:146\nmedia-listen [::]:146\nmedia-address ::1"),
    ] {
        assert_eq!(warnings(ip, local), [""; 0], "{ip} {local}");
    }
}

#[test]
fn all_problems_are_told_not_only_the_first() {
    let problems =
        read("bogus\niw-listen-port x\n", "crsname crs9\nnonsense\n", "MAX_RTP_RELAYS=many\n")
            .unwrap_err();
    let places: Vec<&str> = problems.iter().map(|p| p.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "crs.conf:1",
            "crs.conf:2",
            "crs-local.conf:2",
            "crs-relay.conf:1",
            "crs.conf",
            "crs.conf"
        ],
        "{problems:?}"
    );
}

#[test]
fn the_node_must_know_who_it_is() {
    let pool = format!("key {KEY}\nip crs1 192.0.2.1\nip crs2 192.0.2.2");
    let unknown = read(&pool, "crsname crs3", "").unwrap_err();
    assert!(
        unknown[0].contains("declares (crs1, crs2), got \"crs3\" (nearest: crs1)"),
        "{unknown:?}"
    );
    let unnamed = read(&pool, "", "").unwrap_err();
    assert!(
        unnamed[0].starts_with("crs-local.conf: expected a line `crsname <name>`"),
        "{unnamed:?}"
    );
}

#[test]
fn once_means_once() {
    let problems = read(&format!("key {KEY}\nip crs1 192.0.2.1"), "crsname crs1\ncrsname crs1", "")
        .unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("crs-local.conf:2: crsname: expected one line only; line 1"),
        "{problems:?}"
    );
}

#[test]
fn the_command_line_overrides_the_local_file() {
    let sources = Sources::new(vec![
        source(SourceKind::CommandLine, COMMAND_LINE, "data-dir /srv/x\nmetrics-listen off"),
        source(
            SourceKind::Local,
            "/etc/crs/crs-local.conf",
            "data-dir data\nadmin-socket run/crs.sock",
        ),
        source(SourceKind::Pool, "crs.conf", &format!("key {KEY}\nip crs1 192.0.2.1")),
    ]);
    let config = parse(&sources, Strictness::Strict).unwrap();
    assert_eq!(config.paths.data.to_str(), Some("/srv/x"));
    assert_eq!(config.paths.admin_socket.to_str(), Some("/etc/crs/run/crs.sock"));
    assert_eq!(config.listen.metrics, None);
}

#[test]
fn secrets_are_in_no_message_and_no_debug_output() {
    let canary = "canaryCANARYcanary0123456789";
    for line in [
        format!("key {canary}"),
        format!("cps host 5230 id !{canary}"),
        format!("{canary}{canary}"),
        format!("keyy {canary}"),
    ] {
        let told = problems_of(&line).join("\n");
        assert!(!told.contains(canary), "{told}");
    }
    let config = read(&format!("key {KEY}\nip crs1 192.0.2.1"), "", "").unwrap();
    assert!(!format!("{config:?}").contains(&KEY[..12]));
}

#[test]
fn limits_of_the_parser_are_reached_and_told() {
    let problems = parse(
        &Sources::new(vec![Source {
            kind: SourceKind::Pool,
            name: "crs.conf".into(),
            bytes: vec![b'\n'; FILE_MAX + 1],
        }]),
        Strictness::Strict,
    )
    .unwrap_err();
    assert!(problems[0].expected.contains("at most 1048576 bytes"), "{problems:?}");

    let long = problems_of(&format!("key {}", "x".repeat(5000)));
    assert!(long[0].contains("at most 4096 bytes in a line"), "{long:?}");

    let many = read(&"bogus\n".repeat(PROBLEMS_MAX + 7), "", "").unwrap_err();
    assert_eq!(many.len(), PROBLEMS_MAX + 1);
    assert!(many.last().unwrap().contains("10 more problems"), "{:?}", many.last());

    let rules = "detach-cleanup 0.0.0.0/0 1\n".repeat(REPEATS_MAX + 1);
    let problems = problems_of(&rules);
    assert!(problems[0].contains("at most 1000 lines"), "{problems:?}");

    let third = problems_of(&format!("key {KEY}\nkey {KEY}"));
    assert!(third[0].contains("at most 2 key lines"), "{third:?}");
    let minimal = |line: &str| format!("key {KEY}\nip crs1 192.0.2.1\n{line}");
    assert!(read(&minimal("mailbox-groups 64"), "", "").is_ok());
    let groups = problems_of("mailbox-groups 65");
    assert!(groups[0].contains("a number of groups"), "{groups:?}");
    let socket = |length: usize| {
        let local = format!("admin-socket /{}", "x".repeat(length - 1));
        read(&minimal(""), &local, "")
    };
    assert!(socket(107).is_ok());
    let long = socket(108).unwrap_err();
    assert!(long[0].contains("at most 107 bytes, got 108"), "{long:?}");

    let binary = parse(
        &Sources::new(vec![Source {
            kind: SourceKind::Pool,
            name: "crs.conf".into(),
            bytes: b"a\n\xff".to_vec(),
        }]),
        Strictness::Strict,
    )
    .unwrap_err();
    assert_eq!(binary[0].to_string(), "crs.conf:2: expected UTF-8 text");
}

/// Lines that are nearly right, so that arbitrary input reaches deep into the parsers.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = directive::all().map(|directive| directive.name).collect();
    let word = prop_oneof![
        "[ -~]{0,12}",
        Just("10.0.0.0/8".to_owned()),
        Just("+46701234567@police".to_owned()),
        Just("127.0.0.1:5223".to_owned()),
        Just(KEY.to_owned()),
        Just("256bit".to_owned()),
        Just("18446744073709551616".to_owned()),
        any::<u64>().prop_map(|n| n.to_string()),
        "\\PC{0,8}",
    ];
    (proptest::sample::select(names), proptest::collection::vec(word, 0..6))
        .prop_map(|(name, words)| format!("{name} {}", words.join(" ")))
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        pool in proptest::collection::vec(any::<u8>(), 0..300),
        local in proptest::collection::vec(any::<u8>(), 0..300),
        relay in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let source = |kind, bytes: Vec<u8>| Source { kind, name: "f".into(), bytes };
        let sources = Sources::new(vec![
            source(SourceKind::Pool, pool),
            source(SourceKind::Local, local),
            source(SourceKind::Relay, relay),
        ]);
        let strict = parse(&sources, Strictness::Strict);
        prop_assert!(strict.is_ok() || strict.is_err_and(|problems| !problems.is_empty()));
    }

    #[test]
    fn nearly_right_lines_never_panic(lines in proptest::collection::vec(line(), 0..20)) {
        let text = lines.join("\n");
        for kind in [SourceKind::Pool, SourceKind::Local, SourceKind::Relay, SourceKind::CommandLine] {
            let result = parse(&Sources::new(vec![source(kind, "f", &text)]), Strictness::Lenient);
            if let Err(problems) = result {
                prop_assert!(problems.iter().any(|p| p.severity == Severity::Error));
            }
        }
    }

    #[test]
    fn what_is_accepted_is_within_its_bounds(lines in proptest::collection::vec(line(), 0..20)) {
        let pool = format!("key {KEY}\nip crs1 192.0.2.1\n{}", lines.join("\n"));
        if let Ok(config) = read(&pool, "", "") {
            prop_assert!(config.pool.keys.iter().all(|key| key.secret.len() >= key.length.bytes()));
            prop_assert!(config.relay.check().is_ok());
            prop_assert!(!config.media_addresses.is_empty());
        }
    }
}
