//! A sandbox process as the daemon sees it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use kgrca_core::storage::cypher::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::COMMAND;
use super::protocol::{LENGTH, Reply, Request, framed, message, size};

/// Longest time for a killed process to be gone.
const GONE: Duration = Duration::from_secs(5);
/// Most bytes of its error output that are read.
const ERRORS: u64 = 4 << 10;

/// A running process; killed when dropped.
pub(super) struct Process(Child);

/// Why a process ended.
pub(super) struct End {
    /// The same for the caller of the query.
    pub outcome: Outcome,
    /// The same for the log.
    pub reason: String,
}

impl Process {
    /// Starts one. It has no environment, no files of the daemon, and nothing to do yet.
    pub(super) fn start() -> io::Result<Self> {
        let mut command = Command::new(program()?);
        #[cfg(unix)]
        command.arg0("kgrcad");
        command
            .arg(COMMAND)
            .env_clear()
            // Otherwise the allocator reserves a gigabyte at the start, which no limit would see.
            .env("MIMALLOC_ARENA_RESERVE", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().map(Self)
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, request: &Request) -> io::Result<()> {
        let input = self.0.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(&framed(request)?).await?;
        input.flush().await
    }

    /// Receives a reply of at most `most` bytes. Fails when the process has ended.
    pub(super) async fn receive(&mut self, most: usize) -> io::Result<Reply> {
        let output = self.0.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut length = [0; LENGTH];
        output.read_exact(&mut length).await?;
        let mut bytes = vec![0; size(length, most)?];
        output.read_exact(&mut bytes).await?;
        message(&bytes)
    }

    /// Bytes of memory that it has of its own; zero once it has ended. Elsewhere than on Linux it is
    /// not known, and one.
    pub(super) fn resident(&self) -> u64 {
        if !cfg!(target_os = "linux") {
            return 1;
        }
        let id = self.0.id().unwrap_or_default();
        let sizes = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
        // Pages in all, and those that others share: the program and the copy of the graph.
        let mut pages = sizes
            .split(' ')
            .skip(1)
            .map_while(|n| n.parse::<u64>().ok());
        let own = pages
            .next()
            .unwrap_or(0)
            .saturating_sub(pages.next().unwrap_or(0));
        own * rustix::param::page_size() as u64
    }

    /// Waits for the end of a process that closed its output, or sent nonsense.
    pub(super) async fn end(mut self) -> End {
        let mut errors = Vec::new();
        let status = timeout(GONE, async {
            if let Some(output) = self.0.stderr.take() {
                output.take(ERRORS).read_to_end(&mut errors).await?;
            }
            self.0.wait().await
        });
        let status = status.await.ok().and_then(Result::ok);
        self.kill().await;
        let errors = String::from_utf8_lossy(&errors).into_owned();
        End {
            outcome: outcome(status, &errors),
            reason: match status {
                Some(status) => format!("{status}: {errors}"),
                None => format!("it did not end: {errors}"),
            },
        }
    }

    /// Kills it, and waits until it is gone.
    pub(super) async fn kill(mut self) {
        // It may have exited already.
        let _ = timeout(GONE, self.0.kill()).await;
    }
}

/// The program of this process, even if its file was replaced since: both ends of the pipe are of
/// the same version.
fn program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// Why a process exited before it answered: which limit it ran into.
fn outcome(status: Option<ExitStatus>, errors: &str) -> Outcome {
    const XCPU: i32 = 24;
    const KILL: i32 = 9;
    #[cfg(unix)]
    let signal = status.and_then(|s| std::os::unix::process::ExitStatusExt::signal(&s));
    #[cfg(not(unix))]
    let signal = None;
    if signal == Some(XCPU) {
        return Outcome::TimedOut;
    }
    if errors.contains("overflowed its stack") {
        return Outcome::TooDeep;
    }
    // The kernel kills what uses most when memory runs out.
    let is_memory = errors.contains("memory allocation of") || errors.contains("capacity overflow");
    if is_memory || signal == Some(KILL) {
        return Outcome::OutOfMemory;
    }
    Outcome::Crashed
}
