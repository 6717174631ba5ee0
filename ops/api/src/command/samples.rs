//! One reply of every command, for the tests of rendering.

use crs_types::AccountId;

use super::*;
use crate::SecretText;

const TIME: &str = "2026-11-01T06:30:00.000Z";

/// A sample of every reply, in the order of the command table.
pub(crate) fn all() -> Vec<Reply> {
    let mut all = changes();
    all.extend(lists());
    all.extend(shows());
    all.extend(checks());
    all
}

fn account() -> AccountId {
    AccountId::parse("police").unwrap()
}

fn uri() -> String {
    "+46701234567".to_owned()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn changes() -> Vec<Reply> {
    vec![
        Reply::Apply(apply::Reply::Applied(apply::Applied {
            account: account(),
            period: "2026-11".parse().unwrap(),
            serial: 7,
            created: text(TIME),
            users: 250,
            cms_key: text("3f2a 9c01"),
            closed: 1,
        })),
        Reply::BlacklistAdd(blacklist_add::Reply {
            account: account(),
            uri: uri(),
            result: text("blocked"),
            closed: 2,
        }),
        Reply::BlacklistRemove(blacklist_remove::Reply {
            account: account(),
            uri: uri(),
            result: text("unblocked"),
        }),
        Reply::CreateAccount(create_account::Reply {
            id: account(),
            path: text("/opt/crs/accounts/police"),
            shared_secret: SecretText::new("AAECAwQFBgcICQoLDA0ODw=="),
            cms_key: text("not pinned yet"),
        }),
        Reply::DeleteAccount(delete_account::Reply {
            account: account(),
            result: text("deleted"),
            closed: 12,
        }),
        Reply::PurgeClient(purge_client::Reply { account: account(), uri: uri(), closed: 1 }),
        Reply::PurgeClients(purge_clients::Reply { account: account(), closed: 12 }),
        Reply::ReloadAccount(vec![reload_account::ReloadRow {
            account: account(),
            blocked: 1,
            unblocked: 0,
            closed: 1,
            problems: vec![text("line 3: expected a number")],
        }]),
    ]
}

fn lists() -> Vec<Reply> {
    vec![
        Reply::ListAccount(vec![list_account::AccountRow {
            id: account(),
            path: text("/opt/crs/accounts/police"),
            shared_secret: SecretText::masked(),
            cms_key: text("3f2a 9c01"),
        }]),
        Reply::LookupClient(lookup_client::Reply {
            source: text("local"),
            uri: uri(),
            domain: text("police"),
            client_token: text("none"),
            domain_token: text("none"),
            searched: vec![text("police"), text("fire")],
            listed: true,
            blacklisted: false,
            period: text("2026-11"),
            generation: 3,
        }),
        Reply::Complete(vec![complete::Value { value: text("police") }]),
        Reply::CheckSlot(check_slot::Reply {
            uri: uri(),
            slot: 4711,
            group: 2,
            leader: text("crs1"),
            replicas: vec![text("crs1"), text("crs2")],
        }),
    ]
}

fn shows() -> Vec<Reply> {
    vec![
        Reply::ShowAccount(vec![show_account::ModuleRow {
            server: text("crs1"),
            module: text("app:attach"),
            pid: 4242,
            loaded_accounts: vec![text("fire"), text("police")],
        }]),
        Reply::ShowAttach(vec![attached(&uri(), 3725), attached("+46709999999", 4)]),
        Reply::ShowBlacklist(vec![show_blacklist::BlacklistRow { uri: uri() }]),
        Reply::ShowMessage(vec![show_message::MessageRow {
            uri: uri(),
            post: 12,
            deliv: 11,
            read: text(TIME),
            account: account(),
            waiting: 1,
        }]),
        Reply::ShowNode(node()),
        Reply::ShowRelay(relay()),
        Reply::ShowRelays(vec![show_relays::RelaysRow {
            kind: text("RTP relay"),
            nodes: 1,
            last_active: text(TIME),
            identifiers: vec![text("17"), text("01890a5d-ac96-774b-bcce-b302099a8057")],
            legs: text("2/2"),
        }]),
        Reply::ShowServices(vec![show_services::ServiceRow {
            server: text("crs1"),
            service: text("crs_relay"),
            status: show_services::Status::Active,
        }]),
        Reply::ShowSession(vec![show_session::SessionRow {
            caller: uri(),
            callee: text("+46709999999"),
            time: 61,
            state: text("hangup(busy, callee)"),
            account: text("police"),
            session_id: text("01890a5d-ac96-774b-bcce-b302099a8057"),
        }]),
        Reply::ShowSystem(vec![show_system::SystemRow {
            server: text("crs1"),
            process: text("app:attach"),
            pid: 4242,
            slots: text("0-16383"),
        }]),
        Reply::ShowUpdates(vec![show_updates::UpdatesRow {
            account: account(),
            current_month: text(TIME),
            next_month: text(show_updates::NOT_AVAILABLE),
            current_serial: 7,
            users: 250,
        }]),
        Reply::ShowVersion(vec![show_version::VersionRow {
            server: text("crs1"),
            version: text("0.1.0"),
            admin_protocol: 1,
            uptime: 86_400,
        }]),
    ]
}

fn node() -> show_node::Reply {
    show_node::Reply {
        nodes: vec![show_node::NodeRow {
            node: text("crs1"),
            role: text("leader"),
            version: text("0.1.0"),
            commit: 1234,
            behind: 0,
            last_seen: text("now"),
            free_bytes: 123_456_789,
        }],
        failed: Vec::new(),
        next: Some(text("nothing to do")),
    }
}

fn attached(uri: &str, time: u64) -> show_attach::AttachRow {
    show_attach::AttachRow {
        uri: text(uri),
        account: account(),
        time,
        version: text("crs-client 0.1.0"),
        ip_port: text("192.0.2.17:50312"),
        crs: text("crs1"),
        key_exchange: text("X25519MLKEM768"),
        role: text("primary"),
        device: text("phone-1"),
        connection: 17,
    }
}

fn relay() -> show_relay::Reply {
    show_relay::Reply {
        types: vec![show_relay::TypeRow {
            kind: text("RTP relay"),
            rx: 1000,
            rx_bytes: 182_000,
            tx: 999,
            tx_bytes: 181_818,
        }],
        sent: show_relay::Sent { packets: 1010, bytes: 182_500, error_no_dest: 2, error: 0 },
        received: show_relay::Received {
            packets: 1020,
            bytes: 183_000,
            error_too_short: 3,
            error_too_long: 1,
        },
    }
}

fn checks() -> Vec<Reply> {
    let test = |name: &str, result, ms| health_check::Test {
        name: text(name),
        result,
        description: text("both ways, 50 of 50 packets"),
        ms,
    };
    let tests = vec![
        test("call", health_check::Health::Ok, 812),
        test("update", health_check::Health::Warning, 0),
    ];
    vec![
        Reply::HealthCheck(health_check::Reply::of(text("crs1"), text(TIME), tests)),
        Reply::Doctor(doctor::Reply::of(vec![
            doctor::Check::ok("storage", "disk", "120 GB free"),
            doctor::Check::ok("accounts", "updates", "police: next month missing").finding(
                doctor::Verdict::Warn,
                "no update file for 2026-12 was applied",
                "crs-cli apply 2026-12.upd",
            ),
        ])),
    ]
}

#[test]
fn every_command_but_trace_has_a_sample() {
    let mut names: Vec<_> = all().iter().map(Reply::name).collect();
    names.push("trace");
    names.sort_unstable();
    let mut commands: Vec<_> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    commands.sort_unstable();
    assert_eq!(names, commands);
}
