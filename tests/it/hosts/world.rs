//! A network of hosts for one test, in a process of its own. The test runs itself again inside new
//! user, network and mount namespaces, where it may make hosts; they vanish with the process.

use std::process::Command;

use super::host::Host;

/// Set in the process that is inside.
const INSIDE: &str = "CRS_TEST_WORLD";

/// Runs `body` in a world of its own. `test` is the full name of the calling test.
pub(super) fn inside(test: &str, body: impl FnOnce(World)) {
    if std::env::var_os(INSIDE).is_some() {
        return body(World::make());
    }
    let me = std::env::current_exe().expect("this program");
    let done = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--propagation", "private"])
        .arg(me)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare (util-linux) is installed");
    let output = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(
        done.status.success() && output.contains("1 passed"),
        "{test} inside namespaces (user namespaces must be allowed):\n{output}"
    );
}

/// Hosts on one bridge, 10.77.0.0/24.
pub(super) struct World {
    bridged: u8,
}

impl World {
    fn make() -> Self {
        // `ip netns` keeps its names there; the tests' own must not meet the machine's.
        run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
        std::fs::create_dir("/run/netns").expect("a folder for the hosts' names");
        ip("link set lo up");
        ip("link add bridge type bridge");
        ip("link set bridge up");
        Self { bridged: 0 }
    }

    /// A host on the bridge; the nth one has the address 10.77.0.n.
    pub(super) fn host(&mut self, name: &str) -> Host {
        self.bridged += 1;
        let address = format!("10.77.0.{}", self.bridged);
        add(name);
        ip(&format!("link add to-{name} type veth peer name eth0 netns {name}"));
        ip(&format!("link set to-{name} master bridge up"));
        ip(&format!("-n {name} addr add {address}/24 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        Host::enter(name, &address)
    }

    /// A host behind `router`, which translates addresses as a home's does.
    pub(super) fn behind(&mut self, router: &Host, name: &str) -> Host {
        add(name);
        ip(&format!("link add inner netns {} type veth peer name eth0 netns {name}", router.name));
        ip(&format!("-n {} addr add 192.168.7.1/24 dev inner", router.name));
        ip(&format!("-n {} link set inner up", router.name));
        ip(&format!("-n {name} addr add 192.168.7.2/24 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} route add default via 192.168.7.1"));
        router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
        router.nft("add table ip nat");
        router.nft("add chain ip nat out { type nat hook postrouting priority 100; }");
        translate(router, "21000-21999");
        Host::enter(name, "192.168.7.2")
    }

    /// Cuts a host off, as a pulled cable behind a switch: its own link stays up.
    pub(super) fn pull(&self, host: &Host) {
        ip(&format!("link set to-{} down", host.name));
    }

    /// Plugs it in again.
    pub(super) fn plug(&self, host: &Host) {
        ip(&format!("link set to-{} up", host.name));
    }
}

/// From now on the router gives media new ports, and has forgotten the old ones; TCP goes on.
pub(super) fn translate(router: &Host, ports: &str) {
    router.nft("flush chain ip nat out");
    router
        .nft(&format!("add rule ip nat out oifname eth0 meta l4proto udp masquerade to :{ports}"));
    router.nft("add rule ip nat out oifname eth0 masquerade");
    // Says 1 when there was nothing to forget.
    router.shell("conntrack -D -p udp >/dev/null 2>&1 || true");
}

fn add(name: &str) {
    ip(&format!("netns add {name}"));
    ip(&format!("-n {name} link set lo up"));
}

fn ip(words: &str) {
    run("ip", &words.split(' ').collect::<Vec<_>>());
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|e| panic!("{program} is not installed: {e}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}
