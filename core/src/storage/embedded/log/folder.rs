//! The folder of a stream: a file per segment, named by its first offset.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::embedded::files::Files;
use crate::storage::{Error, Result};

/// How the name of a file ends that is to replace a segment.
pub(super) const UNFINISHED: &str = ".compact";
/// The file that lists what closed segments have.
const INDEX: &str = "closed.index";

/// Where the segments of a stream are. Clones are the same folder.
#[derive(Clone)]
pub(super) struct Folder {
    files: Arc<dyn Files>,
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn new(files: Arc<dyn Files>, path: PathBuf) -> Self {
        Self { files, path }
    }

    /// The file of a segment.
    pub(super) fn segment(&self, base: u64) -> PathBuf {
        self.path.join(format!("{base:020}.seg"))
    }

    /// The file that is to replace a segment.
    pub(super) fn unfinished(&self, base: u64) -> PathBuf {
        self.path.join(format!("{base:020}{UNFINISHED}"))
    }

    /// The names of its files.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let names = self.files.list(&self.path);
        names.map_err(|e| failed(&self.path, &e))
    }

    /// The index; empty when it is missing or cannot be read, which costs a start time and nothing
    /// else.
    pub(super) fn index(&self) -> Vec<u8> {
        let path = self.path.join(INDEX);
        let len = self.files.len(&path).unwrap_or(0);
        if len == 0 {
            return Vec::new();
        }
        self.files.read(&path, 0, len as usize).unwrap_or_default()
    }

    pub(super) fn save_index(&self, content: &[u8]) -> Result<()> {
        let path = self.path.join(INDEX);
        self.put(&path, content)
    }

    pub(super) fn append(&self, base: u64, bytes: &[u8]) -> Result<()> {
        let path = self.segment(base);
        let appended = self.files.append(&path, bytes);
        appended.map_err(|e| failed(&path, &e))
    }

    pub(super) fn sync(&self, base: u64) -> Result<()> {
        let path = self.segment(base);
        self.files.sync(&path).map_err(|e| failed(&path, &e))
    }

    pub(super) fn truncate(&self, base: u64, len: u64) -> Result<()> {
        let path = self.segment(base);
        self.files
            .truncate(&path, len)
            .map_err(|e| failed(&path, &e))
    }

    /// The length of the file of a segment.
    pub(super) fn len(&self, base: u64) -> Result<u64> {
        self.len_of(&self.segment(base))
    }

    pub(super) fn len_of(&self, path: &Path) -> Result<u64> {
        self.files.len(path).map_err(|e| failed(path, &e))
    }

    pub(super) fn read(&self, path: &Path, from: u64, len: usize) -> Result<Vec<u8>> {
        let read = self.files.read(path, from, len);
        read.map_err(|e| failed(path, &e))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        self.files.remove(path).map_err(|e| failed(path, &e))
    }

    /// Writes a file, durably, that does not count yet. Nothing is left of it when that fails.
    pub(super) fn write_apart(&self, path: &Path, content: &[u8]) -> Result<()> {
        let written = self
            .files
            .remove(path)
            .and_then(|()| self.files.append(path, content))
            .and_then(|()| self.files.sync(path));
        written.map_err(|e| {
            // The disk may be full: what was written of it would take the last space.
            let _ = self.files.remove(path);
            failed(path, &e)
        })
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.files.rename(from, to).map_err(|e| failed(to, &e))
    }

    /// Puts a file with this content in the place of the one at `path`, durably.
    pub(super) fn put(&self, path: &Path, content: &[u8]) -> Result<()> {
        let temporary = path.with_extension("new");
        self.write_apart(&temporary, content)?;
        self.rename(&temporary, path)
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::io(&path.display(), error)
}
