//! FUSE requests onto the [`Forgetful`] model. Nothing is cached in the kernel, so that what the
//! model forgets is really gone.

use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::model::{Body, Failure, Forgetful, Node};

const POWER_CUT: &str = ".power-cut";
const NO_CACHE: Duration = Duration::ZERO;
const BLOCK: u64 = 4096;

/// The file system as the kernel sees it.
pub(crate) struct Shell(Mutex<Forgetful>);

impl Shell {
    pub(crate) fn new(disk: Forgetful) -> Self {
        Self(Mutex::new(disk))
    }

    fn disk(&self) -> MutexGuard<'_, Forgetful> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn errno(failure: Failure) -> Errno {
    match failure {
        Failure::NotFound => Errno::ENOENT,
        Failure::Exists => Errno::EEXIST,
        Failure::Kind => Errno::EISDIR,
        Failure::NotEmpty => Errno::ENOTEMPTY,
        Failure::Full => Errno::ENOSPC,
    }
}

fn attributes(number: u64, node: &Node) -> FileAttr {
    let (kind, size) = match &node.body {
        Body::File { live, .. } => (FileType::RegularFile, live.len() as u64),
        Body::Directory { .. } => (FileType::Directory, 0),
    };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: (node.mode & 0o7777) as u16,
        nlink: 1,
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        rdev: 0,
        blksize: BLOCK as u32,
        flags: 0,
    }
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

fn finish(result: Result<(), Failure>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(failure) => reply.error(errno(failure)),
    }
}

impl Filesystem for Shell {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.disk();
        let found = disk
            .lookup(parent.0, &text(name))
            .and_then(|number| disk.node(number).map(|node| attributes(number, node)));
        match found {
            Ok(attr) => reply.entry(&NO_CACHE, &attr, Generation(0)),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk().node(ino.0) {
            Ok(node) => reply.attr(&NO_CACHE, &attributes(ino.0, node)),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let length = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let result = length
            .map_or(Ok(()), |length| disk.set_length(ino.0, length))
            .and_then(|()| mode.map_or(Ok(()), |mode| disk.set_mode(ino.0, mode)))
            .and_then(|()| disk.node(ino.0).map(|node| attributes(ino.0, node)));
        match result {
            Ok(attr) => reply.attr(&NO_CACHE, &attr),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let mut disk = self.disk();
        if name == POWER_CUT {
            disk.power_cut();
            println!("power cut: {} bytes forgotten so far", disk.forgotten);
            return reply.error(Errno::EALREADY);
        }
        let body = Body::Directory { live: Default::default(), synced: Default::default() };
        let node = Node { mode, body };
        match disk.create(parent.0, &text(name), node.clone()) {
            Ok(number) => reply.entry(&NO_CACHE, &attributes(number, &node), Generation(0)),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.disk().remove(parent.0, &text(name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.disk().remove(parent.0, &text(name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = (text(name), text(newname));
        finish(self.disk().rename((parent.0, &from), (newparent.0, &to)), reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let node = Node { mode, ..Node::default() };
        match self.disk().create(parent.0, &text(name), node.clone()) {
            Ok(number) => {
                let attr = attributes(number, &node);
                let flags = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&NO_CACHE, &attr, Generation(0), FileHandle(0), flags);
            }
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(ino.0, offset, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().write(ino.0, offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(failure) => reply.error(errno(failure)),
        }
    }

    /// Closing a file makes nothing durable.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        finish(self.disk().sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        finish(self.disk().sync(ino.0), reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let end = usize::try_from(offset.saturating_add(length)).unwrap_or(usize::MAX);
        finish(self.disk().grow_to(ino.0, end), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let disk = self.disk();
        let entries = match disk.entries(ino.0) {
            Ok(entries) => entries,
            Err(failure) => return reply.error(errno(failure)),
        };
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (name, number)) in entries.iter().enumerate().skip(skip) {
            let kind = match disk.node(*number).map(|node| &node.body) {
                Ok(Body::Directory { .. }) => FileType::Directory,
                Ok(Body::File { .. }) | Err(_) => FileType::RegularFile,
            };
            if reply.add(INodeNo(*number), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let disk = self.disk();
        let (total, free) = (disk.capacity() / BLOCK, disk.free() / BLOCK);
        reply.statfs(total, free, free, 1 << 20, 1 << 20, BLOCK as u32, 255, BLOCK as u32);
    }
}
