//! What a configuration asks for and this version parses, keeps and does not do: told, because
//! whoever writes two hosts believes in a pool and would get two lone nodes.

use super::Severity;
use super::problem::Problem;
use super::types::{Config, DbBackup, Host, Place};

impl Config {
    /// A warning for every directive that has no effect yet.
    pub fn without_effect(&self) -> Vec<Problem> {
        let push = "is kept, but no pushes are sent yet: who is not connected finds the messages \
                    at the next connection";
        // A line that a reload has taken has no place here.
        let tell = |directive: &str, place: Option<&Place>, text: String| Problem {
            file: place.map(|place| place.file.clone()).unwrap_or_default(),
            line: place.map(|place| place.line),
            directive: Some(directive.to_owned()),
            ..Problem::general(Severity::Warning, text)
        };
        let role = (self.db_backup != DbBackup::None).then_some("db-backup").map(|name| {
            let text = "is kept, but replicates nothing yet: the data is on this node only; make \
                        backups of it";
            tell(name, self.places.last(name), text.to_owned())
        });
        let features = self.push.enabled.then_some("features");
        let cps = self.push.cps.as_ref().map(|_| "cps");
        let providers = (!self.push.providers.is_empty()).then_some("push-config");
        let pushes = [cps, features, providers].into_iter().flatten();
        let pushes = pushes.map(|name| tell(name, self.places.of(name).next(), push.into()));
        let hosts = self.further_hosts().map(|(name, place, list)| {
            let text = format!(
                "{list}: kept, but not joined yet; each server is an independent node with its \
                 own data, and what is posted to one is not on the other: let clients reach one \
                 server only"
            );
            tell(name, Some(place), text)
        });
        hosts.into_iter().chain(pushes).chain(role).collect()
    }

    /// The other hosts, and where the first of them stands.
    fn further_hosts(&self) -> Option<(&'static str, &Place, String)> {
        // Without any `host` line the `ip` lines name the hosts.
        let hosts = self.places.of("host").next().map_or("ip", |_| "host");
        let other = |host: &&Host| host.name != self.name;
        let (_, place) =
            self.pool.hosts.iter().zip(self.places.of(hosts)).find(|(host, _)| other(host))?;
        let names: Vec<&str> =
            self.pool.hosts.iter().filter(other).map(|host| host.name.as_str()).collect();
        Some((hosts, place, names.join(", ")))
    }
}
