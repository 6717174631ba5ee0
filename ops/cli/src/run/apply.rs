//! `apply <file>`: sends the file in chunks and, at an account's first update, has the CMS key's
//! fingerprint confirmed.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_admin_api::command::apply::{CHUNK_MAX, FILE_MAX, Reply as Step, Request as Ask};
use crs_admin_api::view::Render;
use crs_admin_api::{AdminError, Code, Exit, Reply, Request};
use crs_types::shell;

use crate::args::{Apply, Global};
use crate::client::{Client, PATIENCE};
use crate::output;

/// Opening and checking a large file, and having it stored on a majority, may take its time.
const FINISH_PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(global: &Global, args: &Apply) -> Result<Exit, AdminError> {
    let file = open(&args.file)?;
    let applied = apply(Client::connect(&global.socket)?, file, args, FINISH_PATIENCE)?;
    output::print_view(&applied.view(), global)?;
    Ok(Exit::Ok)
}

/// Hands the file over and returns what came of it; `patience` is for the node's last answer.
fn apply(
    mut client: Client,
    (mut file, size): (File, u64),
    args: &Apply,
    patience: Duration,
) -> Result<Step, AdminError> {
    ask(&mut client, Ask::Begin { size }, PATIENCE)?;
    upload(&mut client, &mut file, size, &args.file)?;
    let mut confirmed = args.confirm_fingerprint.clone();
    loop {
        let finish = Ask::Finish { force: args.force, confirm_fingerprint: confirmed.clone() };
        match ask(&mut client, finish, patience)? {
            Step::Unconfirmed { account, fingerprint } if confirmed.is_none() => {
                confirmed = Some(confirm(args, account.as_str(), &fingerprint)?);
            }
            Step::Unconfirmed { account, fingerprint } => {
                return Err(unconfirmed(args, account.as_str(), &fingerprint));
            }
            applied @ Step::Applied(_) => return Ok(applied),
            Step::Received { .. } => {
                let message = "the node took the end of the file for a part of it";
                return Err(AdminError::new(Code::Malformed, message));
            }
        }
    }
}

fn open(path: &Path) -> Result<(File, u64), AdminError> {
    let refuse = |code, why: String| AdminError::new(code, format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| refuse(Code::NoFile, error.to_string()))?;
    let meta = file.metadata().map_err(|error| refuse(Code::NoFile, error.to_string()))?;
    if !meta.is_file() {
        return Err(refuse(Code::NoFile, "expected a file".to_owned()));
    }
    match meta.len() {
        0 => Err(refuse(Code::BadUpdate, "the file is empty".to_owned())),
        size if size > FILE_MAX => {
            Err(refuse(Code::TooLarge, format!("the file has {size} bytes, at most {FILE_MAX}")))
        }
        size => Ok((file, size)),
    }
}

fn upload(client: &mut Client, file: &mut File, size: u64, path: &Path) -> Result<(), AdminError> {
    let mut offset = 0;
    while offset < size {
        let mut chunk = Vec::new();
        let left = (size - offset).min(CHUNK_MAX as u64);
        let read = file.take(left).read_to_end(&mut chunk);
        let read = read.map_err(|error| {
            AdminError::new(Code::NoFile, format!("{}: {error}", path.display()))
        })?;
        if read == 0 {
            let message = format!("{} became shorter while it was read", path.display());
            return Err(AdminError::new(Code::NoFile, message));
        }
        ask(client, Ask::Chunk { offset, data: STANDARD.encode(&chunk) }, PATIENCE)?;
        offset += read as u64;
    }
    Ok(())
}

fn ask(client: &mut Client, step: Ask, patience: Duration) -> Result<Step, AdminError> {
    let Reply::Apply(step) = client.ask(&Request::Apply(step), patience)? else {
        return Err(AdminError::new(Code::Malformed, "the node answered something else"));
    };
    Ok(step)
}

/// On a terminal the operator is asked; elsewhere the flag is needed.
fn confirm(args: &Apply, account: &str, fingerprint: &str) -> Result<String, AdminError> {
    if !io::stdin().is_terminal() {
        return Err(unconfirmed(args, account, fingerprint));
    }
    let question = format!(
        "First update of account {account}. Its CMS key has the fingerprint\n    {fingerprint}\n\
         Does the CMS administrator, asked by another way, name the same one? [y/N] "
    );
    match super::answer(&question)?.as_str() {
        "y" | "Y" | "yes" => Ok(fingerprint.to_owned()),
        _ => Err(unconfirmed(args, account, fingerprint)),
    }
}

fn unconfirmed(args: &Apply, account: &str, fingerprint: &str) -> AdminError {
    let message =
        format!("the CMS key of account {account} was never confirmed: fingerprint {fingerprint}");
    let mut command = format!("crs-cli apply {}", shell::word(&args.file.display().to_string()));
    if args.force {
        command.push_str(" --force");
    }
    let hint = format!(
        "compare it with the CMS administrator by another way; if it is the same: \
         `{command} --confirm-fingerprint {}`",
        shell::word(fingerprint)
    );
    AdminError::with_hint(Code::UnconfirmedCmsKey, message, hint)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use crs_admin_api::protocol::{self, ReplyBody, ReplyFrame};

    use super::*;

    #[test]
    fn a_node_that_does_not_finish_is_waited_for_no_longer_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, path) = (folder.path().join("crs.sock"), folder.path().join("month.upd"));
        std::fs::write(&path, b"some bytes").unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let client = Client::connect(&socket).unwrap();
        // Takes the file and says nothing of its end.
        let node = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for id in 1..=2 {
                lines.next().unwrap().unwrap();
                let body = ReplyBody::Done(Reply::Apply(Step::Received { bytes: 0 }));
                let line = protocol::encode_reply(&ReplyFrame { id, body }).unwrap();
                (&stream).write_all(&line).unwrap();
            }
            (lines.next().unwrap().unwrap(), stream)
        });
        let file = open(&path).unwrap();
        let args = Apply { file: path, force: false, confirm_fingerprint: None };
        let late = apply(client, file, &args, Duration::from_millis(100)).unwrap_err();
        assert_eq!(late.code, "timeout", "{late:?}");
        assert!(node.join().unwrap().0.contains("finish"));
    }
}
