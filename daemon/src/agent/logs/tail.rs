//! Finds files, reads each in its turn, and knows which are done.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
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

/// A file that is done. A place on the disk goes to the next file, and who writes may be slower
/// than who renames.
struct Over {
    fingerprint: String,
    position: Position,
    /// How long it was then.
    length: u64,
}

/// Reads the files of a node.
pub struct Tail {
    folder: PathBuf,
    cluster: String,
    below: BelowWarning,
    health: Arc<Health>,
    outbox: Outbox,
    open: BTreeMap<Inode, LogFile>,
    /// Files that are read to their end and written to no more, or were there before our time.
    over: HashMap<Inode, Over>,
    /// Positions of files that were not met yet.
    known: BTreeMap<String, String>,
    /// Nobody looked at this node before.
    is_first: bool,
    looked: Instant,
    /// Into which every file is read.
    scratch: Box<[u8]>,
}

impl Tail {
    /// A tail that goes on where the store says.
    pub fn new(
        settings: &AgentSettings,
        store: &Store,
        health: Arc<Health>,
        outbox: Outbox,
    ) -> Self {
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
            looked: Instant::now(),
            scratch: vec![0; CHUNK].into(),
        }
    }

    /// Looks for the first time. Returns where to begin in each file, which must be durable before
    /// any is read: whoever comes after us reads what is not among them from its first line on.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    pub fn begin(&mut self) -> io::Result<BTreeMap<String, String>> {
        self.look()?;
        self.is_first = false;
        let open = self
            .open
            .values()
            .map(|file| (&file.fingerprint, file.position()));
        let over = self
            .over
            .values()
            .map(|over| (&over.fingerprint, over.position));
        let mut all: BTreeMap<String, String> = open
            .chain(over)
            .map(|(fingerprint, position)| (format!("{PREFIX}{fingerprint}"), position.to_string()))
            .collect();
        all.insert(BEGUN.to_owned(), "begun".to_owned());
        Ok(all)
    }

    /// Reads some of every file.
    pub fn turn(&mut self) {
        if self.looked.elapsed() >= LOOK
            && let Err(e) = self.look()
        {
            tracing::warn!(folder = %self.folder.display(), error = %e, "no logs can be read");
            self.health
                .cannot_watch(FILES, &format!("{}: {e}", self.folder.display()));
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
        let Some(file) = self.open.get_mut(&inode) else {
            return false;
        };
        let before = file.position();
        let read = match file.read(&mut self.scratch, &self.cluster, self.below) {
            Ok(read) => read,
            Err(e) => {
                tracing::warn!(pod = file.container.pod, container = file.container.name, error = %e, "a log cannot be read");
                // The next look finds it again, if it is there.
                self.known
                    .insert(format!("{PREFIX}{}", file.fingerprint), before.to_string());
                self.open.remove(&inode);
                return false;
            }
        };
        let source = format!("{PREFIX}{}", file.fingerprint);
        for (reason, n) in [
            ("folded", read.written.folded),
            ("low_severity", read.written.skipped),
            ("foreign", read.foreign),
        ] {
            if n > 0 {
                self.outbox
                    .give_blocking(Given::Skipped(Topic::Logs, reason, n));
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
            self.outbox
                .give_blocking(Given::Position(source.clone(), position.to_string()));
        }
        if read.is_over
            && let Some(file) = self.open.remove(&inode)
        {
            let (position, length) = (file.position(), file.length());
            self.over.insert(
                inode,
                Over {
                    fingerprint: file.fingerprint,
                    position,
                    length,
                },
            );
        }
        read.has_more
    }

    /// Finds new files, sees which were rotated away, and forgets those that are gone.
    fn look(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let containers = place::containers(&self.folder)?;
        let mut there = HashSet::new();
        for (container, folder) in containers {
            self.look_at(&Arc::new(container), place::files(&folder), &mut there);
        }
        self.open
            .iter_mut()
            .filter(|(inode, _)| !there.contains(*inode))
            .for_each(|(_, file)| file.is_old = true);
        let outbox = &self.outbox;
        self.over.retain(|inode, over| {
            let stays = there.contains(inode);
            if !stays {
                outbox.give_blocking(Given::Forget(format!("{PREFIX}{}", over.fingerprint)));
            }
            stays
        });
        self.health.watches(FILES, self.open.len());
        // What was read once, and is not there any more.
        for (source, _) in std::mem::take(&mut self.known) {
            self.outbox.give_blocking(Given::Forget(source));
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        container: &Arc<Container>,
        files: Vec<PathBuf>,
        there: &mut HashSet<Inode>,
    ) {
        let last = files.len().saturating_sub(1);
        for (place, path) in files.into_iter().enumerate() {
            // It may be renamed or removed while it is looked at.
            let Ok(mut file) = File::open(&path) else {
                continue;
            };
            let Ok(status) = file.metadata() else {
                continue;
            };
            let inode = (status.dev(), status.ino());
            if let Some(open) = self
                .open
                .get_mut(&inode)
                .filter(|open| open.position().from <= status.len())
            {
                there.insert(inode);
                open.is_old = place < last;
                continue;
            }
            // Cut in its place, it begins anew.
            self.open.remove(&inode);
            let Ok(Some(fingerprint)) = place::fingerprint(&mut file) else {
                continue;
            };
            there.insert(inode);
            match self.over.remove(&inode) {
                Some(over) if over.fingerprint == fingerprint && over.length >= status.len() => {
                    self.over.insert(inode, over);
                    continue;
                }
                Some(over) if over.fingerprint == fingerprint => {
                    self.known
                        .insert(format!("{PREFIX}{fingerprint}"), over.position.to_string());
                }
                Some(over) => self
                    .outbox
                    .give_blocking(Given::Forget(format!("{PREFIX}{}", over.fingerprint))),
                None => {}
            }
            self.open(container, inode, fingerprint, file, place < last);
        }
    }

    /// Reads on in a file that was read before, and in another from its beginning; in one that was
    /// there before us near its end.
    fn open(
        &mut self,
        container: &Arc<Container>,
        inode: Inode,
        fingerprint: String,
        file: File,
        is_old: bool,
    ) {
        let container = Arc::clone(container);
        let known = self.known.remove(&format!("{PREFIX}{fingerprint}"));
        let opened = match known.as_deref().map(str::parse::<Position>) {
            Some(position) => {
                LogFile::new(container, fingerprint, file, position.unwrap_or_default())
            }
            None if self.is_first && is_old => LogFile::tail(container, fingerprint, file, 0),
            None if self.is_first => LogFile::tail(container, fingerprint, file, FIRST_LOOK),
            None => LogFile::new(container, fingerprint, file, Position::default()),
        };
        if let Ok(mut opened) = opened {
            opened.is_old = is_old;
            self.open.insert(inode, opened);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::outbox;
    use super::super::super::spool::{Batch, Spool};
    use super::*;

    fn settings(folder: &Path) -> AgentSettings {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            settings: AgentSettings,
        }
        let folder = folder.to_str().unwrap();
        let line = [
            "x",
            "--cluster",
            "prod",
            "--server",
            "http://x",
            "--api-key",
            "k",
            "--logs-from",
            folder,
        ];
        <Line as clap::Parser>::parse_from(line).settings
    }

    /// Looks and reads once, as an agent that knows these positions. Returns the messages that it
    /// gives.
    fn read(
        folder: &Path,
        positions: BTreeMap<String, String>,
    ) -> (BTreeMap<String, String>, String) {
        let place = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(place.path(), 1 << 20, "x").unwrap();
        spool
            .append(
                &Batch {
                    positions,
                    ..Batch::default()
                },
                kgrca_core::model::Time(1),
            )
            .unwrap();
        let store = Store::new(spool);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (outbox, gathering) =
            runtime.block_on(async { outbox::open(Arc::clone(&store), Arc::default()) });
        let mut tail = Tail::new(&settings(folder), &store, Arc::default(), outbox);
        let begun = tail.begin().unwrap();
        tail.open.values_mut().for_each(|file| file.is_old = true);
        tail.turn();
        tail.turn();
        drop(tail);
        runtime.block_on(gathering).unwrap();
        let mut told = String::new();
        let mut spool = store.spool();
        while let Some(block) = spool.next(Topic::Logs) {
            told += &String::from_utf8(zstd::decode_all(&spool.body(&block).unwrap()[..]).unwrap())
                .unwrap();
            spool.shipped(block.id, 0, false).unwrap();
        }
        drop(spool);
        (begun, told)
    }

    fn line(word: &str) -> String {
        format!("2026-01-01T00:00:00Z stdout F ERROR {word}\n")
    }

    #[test]
    fn of_files_that_were_there_before_the_one_that_is_written_is_read() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("shop_web-1_0a-1b/app");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("0.log.20260101-100000"), line("long ago")).unwrap();
        std::fs::write(own.join("0.log"), line("today")).unwrap();
        let (begun, told) = read(root.path(), BTreeMap::new());
        assert!(
            told.contains("today") && !told.contains("long ago"),
            "{told}"
        );
        // Whoever dies right after the first look begins where that began.
        let (_, told) = read(root.path(), begun.clone());
        assert!(
            told.contains("today") && !told.contains("long ago"),
            "{told}"
        );
        // A reader that died between two files that both came after it: the newer one was read
        // first, and is known.
        std::fs::write(own.join("0.log.20260101-110000"), line("in between")).unwrap();
        std::fs::write(own.join("0.log.20260101-120000"), line("known")).unwrap();
        let mut file = File::open(own.join("0.log.20260101-120000")).unwrap();
        let known = place::fingerprint(&mut file).unwrap().unwrap();
        let length = line("known").len();
        let mut positions = begun;
        positions.insert(format!("{PREFIX}{known}"), format!("{length} {length} 0"));
        let (_, told) = read(root.path(), positions);
        assert!(
            told.contains("in between") && !told.contains("known") && !told.contains("long ago"),
            "{told}"
        );
    }
}
