//! Reads all files of a node in turns, and keeps track of the finished ones.

mod discover;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::model::Topic;

use super::BelowWarning;
use super::file::{CHUNK, LogFile, Position, Turn};
use crate::agent::Shared;
use crate::agent::config::AgentSettings;
use crate::agent::health::Health;
use crate::agent::outbox::{Outbox, OutboxItem, SourcePosition};
use crate::agent::spool::Lines;

/// Interval of looking for new, rotated and deleted files.
const DISCOVER_EVERY: Duration = Duration::from_secs(1);
/// Pause after a turn in which no file had more to read.
const IDLE_PAUSE: Duration = Duration::from_millis(100);
/// How this source is named in the agent's status.
const KIND: &str = "log file";
/// Source whose position marks that an agent ran here before.
const BEGUN: &str = "logs";
/// Prefix of the sources of single files.
const PREFIX: &str = "log/";

fn source(fingerprint: &str) -> String {
    format!("{PREFIX}{fingerprint}")
}

/// Device and inode of a file.
type Inode = (u64, u64);

/// A file that was read to its end. It is kept because its inode may be reused, and because its
/// writer may append after it was renamed.
struct Finished {
    fingerprint: String,
    position: Position,
    /// Length of the file at that time.
    length: u64,
}

/// Reads the log files of a node.
pub struct Tail {
    folder: PathBuf,
    cluster: String,
    below: BelowWarning,
    health: Arc<Health>,
    outbox: Outbox,
    open: BTreeMap<Inode, LogFile>,
    finished: HashMap<Inode, Finished>,
    /// Positions by source of files that were not found yet since the start.
    stored: BTreeMap<String, String>,
    /// Whether no agent ran here before.
    is_first_run: bool,
    discovered_at: Instant,
    /// Buffer into which every file is read.
    scratch: Box<[u8]>,
}

impl Tail {
    /// A tail that continues at the positions in the spool.
    pub(super) fn new(settings: &AgentSettings, shared: &Shared, outbox: Outbox) -> Self {
        let spool = shared.spool.lock();
        Self {
            folder: settings.logs_from.clone().unwrap_or_default(),
            cluster: settings.cluster.clone(),
            below: settings.logs_below_warning,
            health: Arc::clone(&shared.health),
            outbox,
            open: BTreeMap::new(),
            finished: HashMap::new(),
            is_first_run: spool.position(BEGUN).is_none(),
            stored: spool.positions(PREFIX),
            discovered_at: Instant::now(),
            scratch: vec![0; CHUNK].into(),
        }
    }

    /// Finds the files for the first time. Returns the start positions, which must be durable
    /// before any file is read: after a restart, files without a position are read from the start.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn begin(&mut self) -> io::Result<BTreeMap<String, String>> {
        self.discover()?;
        self.is_first_run = false;
        let open = self
            .open
            .values()
            .map(|file| (&file.fingerprint, file.position()));
        let finished = self
            .finished
            .values()
            .map(|file| (&file.fingerprint, file.position));
        let mut positions: BTreeMap<String, String> = open
            .chain(finished)
            .map(|(fingerprint, position)| (source(fingerprint), position.to_string()))
            .collect();
        positions.insert(BEGUN.to_owned(), "begun".to_owned());
        Ok(positions)
    }

    /// Reads a chunk of every open file.
    pub fn turn(&mut self) {
        if self.discovered_at.elapsed() >= DISCOVER_EVERY
            && let Err(e) = self.discover()
        {
            tracing::warn!(folder = %self.folder.display(), error = %e, "cannot list pod logs");
            self.health
                .watch_failed(KIND, &format!("{}: {e}", self.folder.display()));
        }
        let mut has_more = false;
        for inode in self.open.keys().copied().collect::<Vec<_>>() {
            has_more |= self.read(inode);
        }
        if !has_more {
            std::thread::sleep(IDLE_PAUSE);
        }
    }

    /// Reads a chunk of a file. Returns whether more is available right away.
    fn read(&mut self, inode: Inode) -> bool {
        let Some(file) = self.open.get_mut(&inode) else {
            return false;
        };
        let before = file.position();
        let source = source(&file.fingerprint);
        let turn = match file.read(&mut self.scratch, &self.cluster, self.below) {
            Ok(turn) => turn,
            Err(e) => {
                tracing::warn!(
                    namespace = file.container.namespace,
                    pod = file.container.pod,
                    container = file.container.name,
                    error = %e,
                    "cannot read a log file, retrying"
                );
                // The next discovery opens it again.
                self.stored.insert(source, before.to_string());
                self.open.remove(&inode);
                return false;
            }
        };
        let position = file.position();
        let (has_more, is_finished) = (turn.has_more, turn.is_finished);
        self.put_skipped(&turn);
        if turn.written.records > 0 {
            self.outbox.put_blocking(OutboxItem::Lines(Lines {
                topic: Topic::Logs,
                records: turn.written.records,
                text: turn.written.text,
                positions: BTreeMap::from([(source, position.to_string())]),
            }));
        } else if position != before {
            let position = position.to_string();
            let at = SourcePosition { source, position };
            self.outbox.put_blocking(OutboxItem::Position(at));
        }
        if is_finished && let Some(file) = self.open.remove(&inode) {
            let finished = Finished {
                position: file.position(),
                length: file.bytes_read(),
                fingerprint: file.fingerprint,
            };
            self.finished.insert(inode, finished);
        }
        has_more
    }

    fn put_skipped(&self, turn: &Turn) {
        for (reason, records) in [
            ("folded", turn.written.folded),
            ("low_severity", turn.written.skipped),
            ("foreign", turn.foreign),
        ] {
            if records > 0 {
                self.outbox.put_blocking(OutboxItem::Skipped {
                    topic: Topic::Logs,
                    reason,
                    records,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
