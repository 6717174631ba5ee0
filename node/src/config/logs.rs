//! Directives of the log files (extensions to C-424…C-432).

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::local::once;
use super::problem::Wrong;
use super::values::{self, Args};

pub(super) const DIRECTIVES: &[Directive] = &[
    once(
        "log-dir",
        "<path>",
        "Folder of the log files; default /var/log/crs. (Extension.)",
        |a, b| a.paths.log == b.paths.log,
        |draft, mut args| {
            draft.log_dir = Some(args.path("a folder")?);
            args.end()
        },
    ),
    Directive {
        name: "log-level",
        usage: "debug|info|warn",
        scope: Scope::Local,
        repeats: Repeats::Once,
        reload: true,
        about: "Least important Type that is written; default info. (Extension.)",
        same: |a, b| a.log.level == b.log.level,
        parse: log_level,
    },
    once(
        "log-size",
        "<size>",
        "Size at which a log file is rotated, such as 16MiB (the default). (Extension.)",
        |a, b| a.log.max_bytes == b.log.max_bytes,
        |draft, mut args| {
            draft.log_size = Some(values::bytes(args.next("a size")?, 64 << 10, 16 << 30)?);
            args.end()
        },
    ),
    once(
        "log-files",
        "<number>",
        "Rotated log files that are kept, 0 to 1000; default 10. (Extension.)",
        |a, b| a.log.keep == b.log.keep,
        |draft, mut args| {
            let word = args.next("a number of files")?;
            draft.log_files = Some(values::number(word, "a number of files", 0, 1000)?);
            args.end()
        },
    ),
    once(
        "log-stderr",
        "on|off",
        "Also write every record to standard error; default off. (Extension.)",
        |a, b| a.log.stderr == b.log.stderr,
        |draft, mut args| {
            let word = args.next("on or off")?;
            draft.log_stderr = values::choice(word, &[("on", true), ("off", false)])?;
            args.end()
        },
    ),
];

fn log_level(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let word = args.next("debug, info or warn")?;
    let level = word.parse().map_err(|_: crs_ops::log::LogLevelError| {
        let levels = ["debug", "info", "warn"];
        Wrong::expected("expected debug, info or warn").got(word).near(word, &levels)
    })?;
    draft.log_level = Some(level);
    args.end()
}
