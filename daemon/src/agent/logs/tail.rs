//! Finds files, reads each in its turn, and knows which are done.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::model::Topic;

use super::super::config::AgentSettings;
use super::super::health::Health;
use super::super::outbox::{Given, Outbox, Store};
use super::super::spool::Lines;
use super::BelowWarning;
use super::file::{CHUNK, LogFile, Position};
use super::place::{self, Container};

/// How often is looked for new files.
const LOOK: Duration = Duration::from_secs(1);
/// How long it rests when there was nothing to read.
const REST: Duration = Duration::from_millis(100);
/// How much of a file is read that was there before this agent ever ran.
const FIRST_LOOK: u64 = 64 << 10;
/// What it looks at, as it says.
const FILES: &str = "log file";
/// Says that this agent has run before.
pub const BEGUN: &str = "logs";
/// Before the names of sources.
const PREFIX: &str = "log/";

/// Where a file lies on its disk.
type Inode = (u64, u64);

/// Reads the files of a node.
pub struct Tail {
    folder: PathBuf,
    cluster: String,
    below: BelowWarning,
    health: Arc<Health>,
    outbox: Outbox,
    open: BTreeMap<Inode, LogFile>,
    /// Files that are read to their end and written to no more, or were there before our time, by fingerprint: a place on the
    /// disk goes to the next file.
    over: HashMap<Inode, String>,
    /// Positions of files that were not met yet.
    known: BTreeMap<String, String>,
    /// Nobody looked at this node before.
    is_first: bool,
    looked: Option<Instant>,
    /// Into which every file is read.
    scratch: Box<[u8]>,
}

impl Tail {
    /// A tail that goes on where the store says.
    pub fn new(settings: &AgentSettings, store: &Store, health: Arc<Health>, outbox: Outbox) -> Self {
        let known = store.spool().positions(PREFIX);
        Self {
            folder: settings.logs_from.clone().unwrap_or_default(),
            cluster: settings.cluster.clone(),
            below: settings.logs_below_warning,
            health,
            outbox,
            open: BTreeMap::new(),
            over: HashMap::new(),
            is_first: store.spool().position(BEGUN).is_none(),
            known,
            looked: None,
            scratch: vec![0; CHUNK].into(),
        }
    }

    /// Reads some of every file.
    pub fn turn(&mut self) {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
            self.look();
            self.looked = Some(Instant::now());
            self.is_first = false;
        }
        let mut has_more = false;
        for inode in self.open.keys().copied().collect::<Vec<_>>() {
            has_more |= self.read(inode);
        }
        if !has_more {
            std::thread::sleep(REST);
        }
    }

    fn read(&mut self, inode: Inode) -> bool {
        let Some(file) = self.open.get_mut(&inode) else { return false };
        let before = file.position();
        let read = match file.read(&mut self.scratch, &self.cluster, self.below) {
            Ok(read) => read,
            Err(e) => {
                tracing::warn!(pod = file.container.pod, container = file.container.name, error = %e, "a log cannot be read");
                // The next look finds it again, if it is there.
                self.known.insert(format!("{PREFIX}{}", file.fingerprint), before.to_string());
                self.open.remove(&inode);
                return false;
            }
        };
        let source = format!("{PREFIX}{}", file.fingerprint);
        for (reason, n) in [("folded", read.written.folded), ("low_severity", read.written.skipped), ("foreign", read.foreign)] {
            if n > 0 {
                self.outbox.give_blocking(Given::Skipped(Topic::Logs, reason, n));
            }
        }
        let position = file.position();
        if read.written.records > 0 {
            let positions = BTreeMap::from([(source.clone(), position.to_string())]);
            self.outbox.give_blocking(Given::Lines(Lines {
                topic: Topic::Logs,
                records: read.written.records,
                text: read.written.text,
                positions,
            }));
        } else if position != before {
            self.outbox.give_blocking(Given::Position(source.clone(), position.to_string()));
        }
        if read.is_over
            && let Some(file) = self.open.remove(&inode)
        {
            self.over.insert(inode, file.fingerprint);
        }
        read.has_more
    }

    /// Finds new files, sees which were rotated away, and forgets those that are gone.
    fn look(&mut self) {
        let containers = match place::containers(&self.folder) {
            Ok(containers) => containers,
            Err(e) => {
                tracing::warn!(folder = %self.folder.display(), error = %e, "no logs can be read");
                self.health.cannot_watch(FILES, &format!("{}: {e}", self.folder.display()));
                return;
            }
        };
        let mut there = HashSet::new();
        for (container, folder) in containers {
            self.look_at(&Arc::new(container), place::files(&folder), &mut there);
        }
        self.open.iter_mut().filter(|(inode, _)| !there.contains(*inode)).for_each(|(_, file)| file.is_old = true);
        let outbox = &self.outbox;
        self.over.retain(|inode, fingerprint| {
            let stays = there.contains(inode);
            if !stays {
                outbox.give_blocking(Given::Forget(format!("{PREFIX}{fingerprint}")));
            }
            stays
        });
        self.health.watches(FILES, self.open.len());
        // What was read once, and is not there any more.
        for (source, _) in std::mem::take(&mut self.known) {
            self.outbox.give_blocking(Given::Forget(source));
        }
    }

    fn look_at(&mut self, container: &Arc<Container>, files: Vec<PathBuf>, there: &mut HashSet<Inode>) {
        let mut fresh = Vec::new();
        let last = files.len().saturating_sub(1);
        for (place, path) in files.into_iter().enumerate() {
            // It may be renamed or removed while it is looked at.
            let Ok(mut file) = File::open(&path) else { continue };
            let Ok(status) = file.metadata() else { continue };
            let inode = (status.dev(), status.ino());
            if let Some(open) = self.open.get_mut(&inode).filter(|open| open.position().from <= status.len()) {
                there.insert(inode);
                open.is_old = place < last;
                continue;
            }
            // Cut in its place, it begins anew.
            self.open.remove(&inode);
            let Ok(Some(fingerprint)) = place::fingerprint(&mut file) else { continue };
            there.insert(inode);
            match self.over.get(&inode) {
                Some(over) if *over == fingerprint => continue,
                Some(over) => {
                    self.outbox.give_blocking(Given::Forget(format!("{PREFIX}{over}")));
                    self.over.remove(&inode);
                }
                None => {}
            }
            fresh.push((inode, fingerprint, file, place < last));
        }
        // Files before one that was read are read; those behind it are new.
        let read_before =
            fresh.iter().rposition(|(_, fingerprint, ..)| self.known.contains_key(&format!("{PREFIX}{fingerprint}")));
        for (index, (inode, fingerprint, file, is_old)) in fresh.into_iter().enumerate() {
            let known = self.known.remove(&format!("{PREFIX}{fingerprint}"));
            let opened = match known.as_deref().map(str::parse::<Position>) {
                Some(position) => LogFile::new(Arc::clone(container), fingerprint, file, position.unwrap_or_default()),
                None if read_before.is_some_and(|read| index < read) || self.is_first && is_old => {
                    self.over.insert(inode, fingerprint);
                    continue;
                }
                None if self.is_first => LogFile::tail(Arc::clone(container), fingerprint, file, FIRST_LOOK),
                None => LogFile::new(Arc::clone(container), fingerprint, file, Position::default()),
            };
            if let Ok(mut opened) = opened {
                opened.is_old = is_old;
                self.open.insert(inode, opened);
            }
        }
    }
}
