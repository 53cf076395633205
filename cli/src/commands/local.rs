//! `kgrca down` and `kgrca logs`: the local server that `kgrca up` started.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::{Env, up};
use crate::context::xdg;
use crate::daemon;
use crate::error::{CliError, Result};

/// How often a log that is followed is read.
const POLL: Duration = Duration::from_millis(250);
/// How much of a log is read at once, in bytes.
const CHUNK: u64 = 1 << 20;

/// Stop the local server; its data stays
#[derive(Debug, clap::Args)]
pub(super) struct DownArgs {}

pub(super) fn down(env: &Env<'_>, _: &DownArgs) -> Result {
    let directory = xdg("XDG_DATA_HOME", ".local/share")?;
    let running = daemon::running(&directory)?;
    up::stop(env, &directory, running)
}

/// Show the log of the local server
#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Keep printing what is added
    #[arg(short, long)]
    follow: bool,
    /// Number of lines at the end to show
    #[arg(long, value_name = "LINES", default_value_t = 100)]
    tail: usize,
}

pub(super) fn logs(env: &Env<'_>, args: &LogArgs) -> Result {
    let directory = xdg("XDG_DATA_HOME", ".local/share")?;
    let path = directory.join("daemon.log");
    let mut file = std::fs::File::open(&path).map_err(|e| {
        CliError::failed(format!("cannot read {}", path.display()))
            .source(&e)
            .hint("start a local server with `kgrca up --detach`")
    })?;
    let unreadable = |e: std::io::Error| unreadable(&path, &e);
    let size = file.metadata().map_err(unreadable)?.len();
    // The end of a large log has the last lines.
    let start = size.saturating_sub(CHUNK);
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&text);
    print(env, last_lines(&text, args.tail))?;
    if !args.follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(POLL);
        let mut more = Vec::new();
        let read = file.by_ref().take(CHUNK).read_to_end(&mut more);
        read.map_err(unreadable)?;
        print(env, &String::from_utf8_lossy(&more))?;
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("cannot read {}", path.display())).source(error)
}

fn print(env: &Env<'_>, text: &str) -> Result {
    if text.is_empty() {
        return Ok(());
    }
    env.out.text(text)
}

/// The end of a text that has so many lines.
fn last_lines(text: &str, lines: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let at = body.rmatch_indices('\n').nth(lines.saturating_sub(1));
    match at {
        _ if lines == 0 => "",
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_are_whole() {
        let text = "a\nb\nc\n";
        assert_eq!(last_lines(text, 0), "");
        assert_eq!(last_lines(text, 1), "c\n");
        assert_eq!(last_lines(text, 2), "b\nc\n");
        assert_eq!(last_lines(text, 9), text);
        assert_eq!(last_lines("", 3), "");
    }
}
