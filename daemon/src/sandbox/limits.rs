//! What a sandbox process denies itself. Limits only ever shrink: the process cannot raise them.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use super::protocol::Open;

/// How much later than the daemon's own threads it runs, where both want a processor.
const NICENESS: i32 = 10;
/// What opening a copy may add to its file.
const GROWTH: u64 = 64 << 20;

fn at_most(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource)
        .maximum
        .map(|m| m.min(most))
        .unwrap_or(most);
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Before anything is read.
pub(super) fn at_start() -> io::Result<()> {
    nice(NICENESS)?;
    // Where memory runs out, the kernel kills this process and not the daemon.
    #[cfg(target_os = "linux")]
    std::fs::write("/proc/self/oom_score_adj", "1000")?;
    at_most(Resource::Core, 0)
}

/// Once all threads have started: no more of them, and no processes. Root may still start some.
pub(super) fn after_threads() -> io::Result<()> {
    at_most(Resource::Nproc, 0)?;
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Before a graph is read.
pub(super) fn for_graph(open: &Open) -> io::Result<()> {
    at_most(Resource::Cpu, open.cpu_seconds)?;
    at_most(Resource::Fsize, open.bytes + GROWTH)?;
    at_most(Resource::As, address_space()? + open.memory)
}

/// Before a query is read: no file can be written any more.
pub(super) fn for_queries() -> io::Result<()> {
    at_most(Resource::Fsize, 0)
}

/// Bytes of address space in use, most of which is the program itself.
#[cfg(target_os = "linux")]
fn address_space() -> io::Result<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = sizes.split(' ').next().and_then(|size| size.parse().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm: not a number"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Unknown elsewhere. Such systems do not enforce this limit; the deadline still holds.
#[cfg(not(target_os = "linux"))]
fn address_space() -> io::Result<u64> {
    Ok(16 << 30)
}
