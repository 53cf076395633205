//! The sandbox process: limits itself, copies one graph, answers queries about it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};

use kgrca_core::storage::embedded::mars::{GraphCopy, Verdict};

use super::limits;
use super::protocol::{LENGTH, Open, Reply, Request, framed, message, size};

/// Largest message from the daemon.
const MOST: usize = 16 << 20;
/// Exit code after a panic.
const PANICKED: i32 = 70;
/// Graphs up to this size are copied to memory: on disk, opening a copy waits for the disk twice.
const IN_MEMORY: u64 = 16 << 20;

/// Serves the daemon at the other end of stdin and stdout until that closes stdin.
pub fn run() -> ExitCode {
    if let Err(e) = limits::at_start() {
        return failed(&e);
    }
    let (requests, received) = channel();
    let worker = std::thread::Builder::new()
        .stack_size(GraphCopy::STACK)
        .spawn(move || {
            let served = catch_unwind(AssertUnwindSafe(|| serve(&received)));
            if !matches!(served, Ok(Ok(()))) {
                #[expect(clippy::exit, reason = "the other thread waits for input")]
                std::process::exit(PANICKED);
            }
        });
    if let Err(e) = worker.and_then(|_| limits::after_threads()) {
        return failed(&e);
    }
    // The end of input ends the process, even while a query is running: the daemon has gone.
    while let Ok(Some(request)) = next(&mut io::stdin().lock()) {
        if requests.send(request).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "the daemon logs it")]
fn failed(error: &io::Error) -> ExitCode {
    eprintln!("cannot limit this process: {error}");
    ExitCode::FAILURE
}

fn next(input: &mut impl Read) -> io::Result<Option<Request>> {
    let mut length = [0; LENGTH];
    match input.read_exact(&mut length) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; size(length, MOST)?];
    input.read_exact(&mut bytes)?;
    message(&bytes).map(Some)
}

fn reply(reply: &Reply) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(&framed(reply)?)?;
    output.flush()
}

fn serve(requests: &Receiver<Request>) -> io::Result<()> {
    let mut graph = None;
    while let Ok(request) = requests.recv() {
        match (request, &graph) {
            (Request::Open(open), None) => match opened(&open) {
                Ok(copy) => {
                    graph = Some(copy);
                    reply(&Reply::Opened)?;
                }
                Err(why) => reply(&why)?,
            },
            (Request::Query(query), Some(graph)) => reply(&Reply::Done(graph.answer(&query)))?,
            _ => reply(&Reply::Failed(
                "a graph must be opened first, and once".into(),
            ))?,
        }
    }
    Ok(())
}

fn opened(open: &Open) -> Result<GraphCopy, Reply> {
    let failed = |e: io::Error| Reply::Failed(format!("{}: {e}", open.path.display()));
    limits::for_graph(open).map_err(failed)?;
    let copy = copied(open).map_err(failed)?;
    reply(&Reply::Copied).map_err(failed)?;
    let unreachable = |e: kgrca_core::storage::Error| Reply::Failed(e.message);
    let mut graph = GraphCopy::open(&copy.path)
        .map_err(unreachable)?
        .map_err(Reply::Damaged)?;
    if open.verify
        && let Verdict::Damaged(why) = graph.verify().map_err(unreachable)?
    {
        return Err(Reply::Damaged(why));
    }
    limits::for_queries().map_err(failed)?;
    Ok(graph)
}

/// A copy without a name: it vanishes with this process.
struct Copy {
    _file: File,
    path: PathBuf,
}

fn copied(open: &Open) -> io::Result<Copy> {
    let folder = open.path.parent().unwrap_or(Path::new("/"));
    let mut file = if open.bytes > IN_MEMORY {
        tempfile::tempfile_in(folder)?
    } else {
        in_memory(folder)?
    };
    io::copy(&mut File::open(&open.path)?, &mut file)?;
    let path = format!("{DESCRIPTORS}/{}", std::os::fd::AsRawFd::as_raw_fd(&file)).into();
    Ok(Copy { _file: file, path })
}

#[cfg(target_os = "linux")]
const DESCRIPTORS: &str = "/proc/self/fd";
#[cfg(not(target_os = "linux"))]
const DESCRIPTORS: &str = "/dev/fd";

#[cfg(target_os = "linux")]
fn in_memory(_: &Path) -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("graph", MemfdFlags::CLOEXEC)?.into())
}

/// Other systems have no files in memory.
#[cfg(not(target_os = "linux"))]
fn in_memory(folder: &Path) -> io::Result<File> {
    tempfile::tempfile_in(folder)
}
