//! The floor: the least a forwarder can do with the same sockets and batches. Each datagram goes to
//! the port beside the one it came from; no table, no check, no counter per packet.

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crs_udp::{Batch, BatchShape, Poller, Socket, SocketOptions};

/// Messages per system call, as in the relay.
const BATCH: usize = 64;

/// Options of the hidden command `relay-floor`.
#[derive(Debug, Clone, clap::Args)]
pub struct FloorArgs {
    /// CPU of the thread
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Messages per system call
    #[arg(long, default_value_t = BATCH)]
    pub batch: usize,
    /// Let the kernel join and cut packets
    #[arg(long)]
    pub offload: bool,
}

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    forwarded: AtomicU64,
    thread: AtomicU64,
}

/// Serves the same lines as the relay's bench, without legs.
pub fn serve(args: &FloorArgs) -> anyhow::Result<()> {
    let options = SocketOptions { reuse_port: false, coalesce: args.offload };
    let socket = Socket::bind("127.0.0.1:0".parse()?, options)?;
    let address = socket.local_addr()?;
    let counts = Arc::new(Counts::default());
    let (theirs, thread_args) = (Arc::clone(&counts), args.clone());
    let thread = std::thread::Builder::new()
        .name("floor".into())
        .spawn(move || forward(&socket, &thread_args, &theirs))?;
    while counts.thread.load(Ordering::Relaxed) == 0 {
        anyhow::ensure!(!thread.is_finished(), "the forwarder did not start");
        std::thread::yield_now();
    }
    let mut out = stdout().lock();
    writeln!(out, "address {address}")?;
    writeln!(out, "thread {}", counts.thread.load(Ordering::Relaxed))?;
    writeln!(out, "ready")?;
    out.flush()?;
    for line in stdin().lock().lines() {
        if line?.trim() == "stats" {
            let received = counts.received.load(Ordering::Relaxed);
            let forwarded = counts.forwarded.load(Ordering::Relaxed);
            writeln!(out, "stats {received} {forwarded} {}", received - forwarded)?;
            out.flush()?;
        }
    }
    // The thread waits for packets for ever; it ends with the process.
    Ok(())
}

fn forward(socket: &Socket, args: &FloorArgs, counts: &Counts) -> std::io::Result<()> {
    if let Some(cpu) = args.cpu {
        crs_udp::thread::pin_to(cpu)?;
    }
    let mut poller = Poller::new()?;
    poller.add(socket)?;
    let shape = BatchShape { messages: args.batch, locals: 1, coalesce: args.offload };
    let mut batch = Batch::new(shape);
    let (mut received, mut forwarded) = (0u64, 0u64);
    let id = crs_udp::thread::thread_id().unsigned_abs();
    counts.thread.store(u64::from(id), Ordering::Relaxed);
    let mut full = false;
    loop {
        if !full {
            poller.wait(None)?;
        }
        let count = batch.recv(socket)?;
        for index in 0..count {
            let Some(datagram) = batch.datagram(index) else { continue };
            let (segment, total) = (datagram.segment.max(1), datagram.bytes.len());
            let to = beside(datagram.from);
            let mut at = 0;
            while at < total {
                let end = (at + segment).min(total);
                received += 1;
                forwarded += u64::from(batch.forward(index, at..end, 0, to, 0));
                at = end;
            }
        }
        batch.flush(0, socket, |_, packets, _| forwarded -= u64::from(packets));
        counts.received.store(received, Ordering::Relaxed);
        counts.forwarded.store(forwarded, Ordering::Relaxed);
        full = count == args.batch;
    }
}

/// The other port of a pair (2k, 2k + 1).
pub(super) fn beside(mut addr: SocketAddr) -> SocketAddr {
    addr.set_port(addr.port() ^ 1);
    addr
}
