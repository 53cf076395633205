//! Finds new files, notices rotation, and forgets deleted files.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::{Inode, KIND, Tail, source};
use crate::agent::logs::container::{self, Container};
use crate::agent::logs::file::{LogFile, Position};
use crate::agent::outbox::OutboxItem;

/// Bytes at the end of a file that are read if it existed before the first agent on this node.
const FIRST_RUN_BYTES: u64 = 64 << 10;

/// A file that is not open yet.
struct NewFile {
    inode: Inode,
    fingerprint: String,
    file: File,
    is_rotated: bool,
}

impl Tail {
    /// Compares the files on disk with the open ones.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub(super) fn discover(&mut self) -> io::Result<()> {
        self.discovered_at = Instant::now();
        let mut present = HashSet::new();
        for found in container::containers(&self.folder)? {
            let files = container::files(&found.folder);
            self.discover_files(&Arc::new(found.container), files, &mut present);
        }
        for (inode, file) in &mut self.open {
            file.is_rotated |= !present.contains(inode);
        }
        let outbox = &self.outbox;
        self.finished.retain(|inode, finished| {
            let is_present = present.contains(inode);
            if !is_present {
                outbox.put_blocking(OutboxItem::Forget {
                    source: source(&finished.fingerprint),
                });
            }
            is_present
        });
        self.health.watch_ok(KIND, self.open.len());
        // Files that were read by a previous process and no longer exist.
        for (source, _) in std::mem::take(&mut self.stored) {
            self.outbox.put_blocking(OutboxItem::Forget { source });
        }
        Ok(())
    }

    /// Looks at the files of a container, oldest first: all but the last are rotated.
    fn discover_files(
        &mut self,
        container: &Arc<Container>,
        files: Vec<PathBuf>,
        present: &mut HashSet<Inode>,
    ) {
        let last = files.len().saturating_sub(1);
        for (index, path) in files.into_iter().enumerate() {
            let is_rotated = index < last;
            // It may be renamed or deleted meanwhile.
            let Ok(mut file) = File::open(&path) else {
                continue;
            };
            let Ok(metadata) = file.metadata() else {
                continue;
            };
            let inode = (metadata.dev(), metadata.ino());
            if let Some(open) = self
                .open
                .get_mut(&inode)
                .filter(|open| open.position().from <= metadata.len())
            {
                present.insert(inode);
                open.is_rotated = is_rotated;
                continue;
            }
            // Truncated: it starts again.
            self.open.remove(&inode);
            let Ok(Some(fingerprint)) = container::fingerprint(&mut file) else {
                continue;
            };
            present.insert(inode);
            if self.is_finished(inode, &fingerprint, metadata.len()) {
                continue;
            }
            let new = NewFile {
                inode,
                fingerprint,
                file,
                is_rotated,
            };
            self.open_file(container, new);
        }
    }

    /// Whether a file was read to its end and has not changed. If it has grown, it is continued; if
    /// its inode was reused, the previous file is forgotten.
    fn is_finished(&mut self, inode: Inode, fingerprint: &str, length: u64) -> bool {
        let Some(finished) = self.finished.remove(&inode) else {
            return false;
        };
        if finished.fingerprint != fingerprint {
            self.outbox.put_blocking(OutboxItem::Forget {
                source: source(&finished.fingerprint),
            });
            return false;
        }
        if finished.length >= length {
            self.finished.insert(inode, finished);
            return true;
        }
        self.stored
            .insert(source(fingerprint), finished.position.to_string());
        false
    }

    /// Opens a file at its stored position, or at its beginning. On the first run on a node,
    /// current files are opened near their end and rotated ones at their end.
    fn open_file(&mut self, container: &Arc<Container>, new: NewFile) {
        let NewFile {
            inode,
            fingerprint,
            file,
            is_rotated,
        } = new;
        let container = Arc::clone(container);
        let stored = self.stored.remove(&source(&fingerprint));
        let opened = match stored {
            Some(position) => {
                let position = position.parse().unwrap_or_default();
                LogFile::new(container, fingerprint, file, position)
            }
            None if self.is_first_run => {
                let bytes = if is_rotated { 0 } else { FIRST_RUN_BYTES };
                LogFile::tail(container, fingerprint, file, bytes)
            }
            None => LogFile::new(container, fingerprint, file, Position::default()),
        };
        if let Ok(mut opened) = opened {
            opened.is_rotated = is_rotated;
            self.open.insert(inode, opened);
        }
    }
}
