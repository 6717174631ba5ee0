//! The configuration reference (docs/operator/configuration.md), made from the directive table so
//! that the two cannot disagree.

use std::fmt::Write as _;

use super::directive::{self, Directive, Repeats, Scope};

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (scope, title, remark) in FILES {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "\n## {title}\n\n{remark}\n");
        for directive in directive::all().filter(|directive| directive.scope == *scope) {
            text.push_str(&entry(directive));
        }
    }
    text
}

fn entry(directive: &Directive) -> String {
    let joined = directive.usage.is_empty() || directive.usage.starts_with('=');
    let blank = if joined { "" } else { " " };
    let mut notes = Vec::new();
    if directive.repeats == Repeats::Many {
        notes.push("may be repeated");
    }
    if directive.reload {
        notes.push("taken by SIGHUP");
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" *({})*", notes.join("; ")) };
    format!("\n`{}{blank}{}`{notes}\n: {}\n", directive.name, directive.usage, directive.about)
}

const FILES: &[(Scope, &str, &str)] = &[
    (
        Scope::Pool,
        "crs.conf",
        "The same on all nodes of the pool. The headings `[GLOBAL]`, `[POOL]`, `[HOSTS]` and `[PUSH-CONFIG]` may be \
         used to order the file; every directive is valid under each of them and without any.",
    ),
    (Scope::Local, "crs-local.conf", "Settings of one node. The command line overrides them."),
    (Scope::Relay, "crs-relay.conf", "Limits of the media relay, for each node and type."),
];

const HEAD: &str = "# Configuration reference

<!-- Made by `crs-node reference`; a test compares. Change node/src/config instead. -->

A node reads three files: `/opt/crs/crs.conf`, `/opt/crs/crs-local.conf` and `/opt/crs/crs-relay.conf`
(`--config`, `--local-config` and `--relay-config` name others). One directive stands in a line; words are separated
by blanks; `\"…\"` keeps blanks in a word; `#` begins a comment. Relative paths start at the folder of the file.

`crs-node check` explains every problem with file, line, what was expected and the nearest known word; it opens no
port, store or log, so it can be run beside the running node. A node with a wrong configuration does not start (exit
status 64). `--lenient` turns unknown directives into warnings. `crs-node ports` prints the ports to open.

Two lines are enough to begin with: [the smallest configuration](running.md#the-smallest-configuration).

This version serves lone nodes. A further `host`, `db-backup`, `cps`, `features push` and `push-config` are parsed
and kept, but have no effect yet: two servers with one configuration are two independent nodes, each with its own
accounts, messages and authority, and no push is sent. `crs-node check`, the start in `crs.log` and `crs-cli doctor`
warn about every such line.

SIGHUP (`systemctl reload crs`) reads the files again and takes the directives marked so; when a file is wrong, the
old state stays and the log says why.
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_documented_reference_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operator/configuration.md");
        let documented = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            documented == super::reference(),
            "docs/operator/configuration.md is stale: crs-node reference > docs/operator/configuration.md"
        );
    }
}
