//! `apply`: the file arrives whole, and a CMS key is never taken on trust.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_admin_api::command::apply::{Applied, CHUNK_MAX, Reply as Step, Request as Ask};
use crs_admin_api::{Reply, Request};

use crate::fake::{FakeNode, stderr, stdout};

const FINGERPRINT: &str = "3F2A 9C01";

pub(crate) fn node(received: Arc<Mutex<Vec<u8>>>) -> FakeNode {
    let account = crs_types::AccountId::parse("police").unwrap();
    FakeNode::new(move |request| {
        let Request::Apply(step) = request else { panic!("{request:?}") };
        let mut bytes = received.lock().unwrap();
        Ok(Reply::Apply(match step {
            Ask::Begin { .. } => {
                bytes.clear();
                Step::Received { bytes: 0 }
            }
            Ask::Chunk { offset, data } => {
                assert_eq!(*offset, bytes.len() as u64);
                bytes.extend(STANDARD.decode(data).unwrap());
                Step::Received { bytes: bytes.len() as u64 }
            }
            Ask::Finish { confirm_fingerprint: Some(_), .. } => Step::Applied(Applied {
                account: account.clone(),
                period: "2026-11".parse().unwrap(),
                serial: 1,
                created: "2026-11-01T00:00:00.000Z".to_owned(),
                users: 2,
                cms_key: FINGERPRINT.to_owned(),
                closed: 0,
            }),
            Ask::Finish { .. } => {
                Step::Unconfirmed { account: account.clone(), fingerprint: FINGERPRINT.to_owned() }
            }
        }))
    })
}

#[test]
fn a_file_of_many_chunks_arrives_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("2026-11.upd");
    let content: Vec<u8> = (0..CHUNK_MAX * 2 + 17).map(|n| (n % 251) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let received = Arc::default();
    let node = node(Arc::clone(&received));
    let line = format!("apply {} --confirm-fingerprint 3F2A9C01", path.display());
    let output = node.run(&line);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("PERIOD:  2026-11"));
    assert_eq!(*received.lock().unwrap(), content);
}

#[test]
fn without_a_terminal_the_fingerprint_must_be_given() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("2026-11.upd");
    std::fs::write(&path, b"file").unwrap();
    let output = node(Arc::default()).run(&format!("apply {} -o json", path.display()));
    assert_eq!(output.status.code(), Some(2));
    let error: serde_json::Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["code"], "unconfirmed-cms-key");
    assert!(error["hint"].as_str().unwrap().contains("--confirm-fingerprint '3F2A 9C01'"));
}
