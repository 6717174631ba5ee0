//! The client's journals: files of any content, and any content in an intact batch. What was read
//! is what a rewrite keeps, and a journal that was opened can go on.
#![no_main]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crs_client::core::{contacts, inbox, outbox};
use crs_client::journal::Journal;
use crs_types::disk::{Disk, DiskFile};
use crs_types::envelope::Version;
use crs_types::{AccountId, Uri};
use libfuzzer_sys::fuzz_target;

const V1: Version = Version(1);

/// A disk of one file.
#[derive(Clone, Default)]
struct OneFile(Arc<Mutex<Vec<u8>>>);

impl OneFile {
    fn of(bytes: &[u8]) -> Arc<dyn Disk> {
        Arc::new(Self(Arc::new(Mutex::new(bytes.to_vec()))))
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("one thread")
    }
}

impl Disk for OneFile {
    fn open(&self, _: &Path, _: bool) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.clone()))
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.bytes().clone())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn real_root(&self) -> Option<PathBuf> {
        None
    }
}

impl DiskFile for OneFile {
    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        let mut bytes = self.bytes();
        let length = bytes.len().max(at + new.len());
        bytes.resize(length, 0);
        bytes[at..at + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.bytes().resize(length as usize, 0);
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A journal of one intact batch with this payload.
fn one_batch(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let sum = crc32c::crc32c(payload).to_le_bytes();
    [b"CRSJRNL1".as_slice(), &length, &sum, payload].concat()
}

fn inbox(disk: &Arc<dyn Disk>) {
    let Ok(mut opened) = Journal::<inbox::Record>::open(disk.clone(), "j", V1) else { return };
    let core = inbox::Inbox::restore(opened.records, true);
    let pending = |core: &inbox::Inbox| core.pending().map(|(n, e)| (n, e.clone())).collect();
    let before: Vec<_> = pending(&core);
    opened.journal.rewrite(&core.compacted()).expect("room for what was read");
    let again = Journal::<inbox::Record>::open(disk.clone(), "j", V1).expect("what we wrote");
    let after: Vec<_> = pending(&inbox::Inbox::restore(again.records, true));
    assert_eq!(before, after);
}

fn outbox(disk: &Arc<dyn Disk>) {
    let Ok(mut opened) = Journal::<outbox::Record>::open(disk.clone(), "j", V1) else { return };
    let core = outbox::Outbox::restore(opened.records);
    opened.journal.rewrite(&core.compacted()).expect("room for what was read");
    let again = Journal::<outbox::Record>::open(disk.clone(), "j", V1).expect("what we wrote");
    let after = outbox::Outbox::restore(again.records);
    assert_eq!((core.len(), core.compacted()), (after.len(), after.compacted()));
}

fn contacts(disk: &Arc<dyn Disk>) {
    let Ok(mut opened) = Journal::<contacts::Record>::open(disk.clone(), "j", V1) else { return };
    let own = (
        Uri::parse("+46700000001").expect("a number"),
        AccountId::parse("acme").expect("an account"),
    );
    let known = contacts::Contacts::restore(opened.records, own.clone());
    opened.journal.rewrite(&known.compacted()).expect("room for what was read");
    let again = Journal::<contacts::Record>::open(disk.clone(), "j", V1).expect("what we wrote");
    assert_eq!(known.all(), contacts::Contacts::restore(again.records, own).all());
}

fuzz_target!(|bytes: &[u8]| {
    for content in [bytes.to_vec(), one_batch(bytes)] {
        inbox(&OneFile::of(&content));
        outbox(&OneFile::of(&content));
        contacts(&OneFile::of(&content));
    }
});
