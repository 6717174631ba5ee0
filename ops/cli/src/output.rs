//! What goes to standard output and standard error, and how.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crs_admin_api::render::{self, Format, Options};
use crs_admin_api::view::View;
use crs_admin_api::{AdminError, Code};
use crs_types::shell;

use crate::args::{DEFAULT_SOCKET, Global, Output};

/// The flags of the command line together with what standard output is.
pub(crate) fn options(global: &Global) -> Options {
    let terminal = io::stdout().is_terminal();
    let format = match global.output {
        None | Some(Output::Table) => Format::Table,
        Some(Output::Json) => Format::Json,
        Some(Output::Tsv) => Format::Tsv,
    };
    Options {
        format,
        verbose: global.verbose,
        header: !global.no_header,
        boxes: terminal,
        width: if terminal { render::terminal_width() } else { None },
        colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// What has to stand behind `crs-cli` in a command, so that it reaches the same node: nothing when
/// it goes there by itself.
pub(crate) fn reaching(global: &Global) -> String {
    let by_itself = std::env::var_os("CRS_SOCKET").unwrap_or_else(|| DEFAULT_SOCKET.into());
    if global.socket == by_itself { String::new() } else { socket_option(&global.socket) }
}

/// `--socket PATH`, for a shell.
pub(crate) fn socket_option(socket: &Path) -> String {
    format!("--socket {}", shell::word(&socket.display().to_string()))
}

/// Prints a view to standard output.
pub(crate) fn print_view(view: &View, global: &Global) -> Result<(), AdminError> {
    print(&render::render(view, &options(global)))
}

/// Prints text to standard output. A closed pipe is no error: the reader has seen enough.
pub(crate) fn print(text: &str) -> Result<(), AdminError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(closed_pipe()),
        Err(error) => {
            let message = format!("standard output cannot be written: {error}");
            Err(AdminError::with_hint(Code::Disk, message, "is the disk full?"))
        }
    }
}

/// The error that ends a command whose reader has gone; never printed.
pub(crate) fn closed_pipe() -> AdminError {
    AdminError::with_hint(Code::Usage, CLOSED_PIPE, "none")
}

/// True for [`closed_pipe`].
pub(crate) fn is_closed_pipe(error: &AdminError) -> bool {
    error.message == CLOSED_PIPE
}

const CLOSED_PIPE: &str = "standard output was closed";

/// One line of cause and one of remedy on standard error, or one JSON object.
pub(crate) fn print_error(error: &AdminError, json: bool) {
    let text = if json {
        serde_json::to_string(error).unwrap_or_default() + "\n"
    } else {
        format!("crs-cli: {}\n    try: {}\n", plain(&error.message), plain(&error.hint))
    };
    // Without standard error there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What a node says about a client's data may not move the cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
