//! The few file operations that the log needs, so that a disk that forgets what was not synced can
//! stand in for a real one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file system as the log uses it. Paths are absolute.
pub trait Files: Send + Sync {
    /// Appends to a file, creating it and its folders.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's content survive a power cut, and its name when it is new.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Cuts a file to a length.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Reads at most `len` bytes from a position.
    fn read(&self, path: &Path, from: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Length of a file; 0 when there is none.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Names in a folder, in order; none when there is no folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Renames a file over another, durably.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or a folder with all that is in it, durably.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's own file system. Open files are kept for appending.
#[derive(Debug, Default)]
pub struct RealFiles {
    open: Mutex<BTreeMap<PathBuf, Arc<fs::File>>>,
    /// Files whose names are durable already.
    named: Mutex<std::collections::BTreeSet<PathBuf>>,
}

/// How many files stay open for appending.
const OPEN: usize = 256;

impl RealFiles {
    /// The file to append to. Nothing is written or synced while others wait for theirs.
    fn file(&self, path: &Path) -> io::Result<Arc<fs::File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(path) {
            return Ok(Arc::clone(file));
        }
        if open.len() >= OPEN {
            open.clear();
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        let file = Arc::new(file);
        open.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn is_named(&self, path: &Path) -> bool {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.contains(path)
    }

    fn forget(&self, path: &Path) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|p, _| !p.starts_with(path));
        self.named
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|p| !p.starts_with(path));
    }
}

impl Files for RealFiles {
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        (&*self.file(path)?).write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.file(path)?.sync_data()?;
        if self.is_named(path) {
            return Ok(());
        }
        // The name of a new file lives in its folder, and the folder's in its parent.
        for folder in path.ancestors().skip(1).take(4) {
            fs::File::open(folder)?.sync_all()?;
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.insert(path.to_owned());
        Ok(())
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = self.file(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn read(&self, path: &Path, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::with_capacity(len.min(1 << 22));
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        match fs::metadata(path) {
            Ok(meta) => Ok(meta.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(e),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(from, to)?;
        match to.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.forget(path);
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        match path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// A disk in memory that can lose everything that was not synced, cut the last write short, and run
/// full.
#[derive(Clone, Debug, Default)]
pub struct ForgetfulFiles {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    /// What programs see and what would survive a power cut.
    files: BTreeMap<PathBuf, (Vec<u8>, Vec<u8>)>,
    /// Bytes that may still be written; `None` is endless.
    room: Option<usize>,
}

impl ForgetfulFiles {
    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power: of what was not synced a part of `keep` bytes of each file is left, as a
    /// torn write leaves it.
    pub fn power_cut(&self, keep: usize) {
        for (seen, synced) in self.disk().files.values_mut() {
            let torn = seen.len().min(synced.len() + keep);
            let mut left = synced.clone();
            if seen.len() > synced.len() {
                left.extend_from_slice(&seen[synced.len()..torn]);
            }
            *seen = left.clone();
            *synced = left;
        }
    }

    /// Changes a file behind the back of its user, as a disk that goes bad does.
    pub fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some((seen, synced)) = self.disk().files.get_mut(path) {
            change(seen);
            synced.clone_from(seen);
        }
    }

    /// Sets how many bytes may still be written.
    pub fn set_room(&self, room: Option<usize>) {
        self.disk().room = room;
    }
}

impl Files for ForgetfulFiles {
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        let fits = disk.room.map(|room| room >= bytes.len()).unwrap_or(true);
        let part = if fits {
            bytes
        } else {
            &bytes[..disk.room.unwrap_or(0)]
        };
        disk.files
            .entry(path.to_owned())
            .or_default()
            .0
            .extend_from_slice(part);
        disk.room = disk.room.map(|r| r - part.len());
        if fits {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        if let Some((seen, synced)) = self.disk().files.get_mut(path) {
            synced.clone_from(seen);
        }
        Ok(())
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        let Some((seen, synced)) = disk.files.get_mut(path) else {
            return Ok(());
        };
        let freed = seen.len().saturating_sub(len as usize);
        seen.truncate(len as usize);
        synced.clone_from(seen);
        disk.room = disk.room.map(|r| r + freed);
        Ok(())
    }

    fn read(&self, path: &Path, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let disk = self.disk();
        let (seen, _) = disk
            .files
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let from = (from as usize).min(seen.len());
        Ok(seen[from..seen.len().min(from + len)].to_vec())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(self
            .disk()
            .files
            .get(path)
            .map(|(seen, _)| seen.len() as u64)
            .unwrap_or(0))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        let below = disk
            .files
            .keys()
            .filter_map(|p| p.strip_prefix(folder).ok());
        let mut names: Vec<String> = below
            .filter_map(|p| p.components().next())
            .map(|c| c.as_os_str().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if let Some(file) = disk.files.remove(from) {
            disk.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk().files.retain(|p, _| !p.starts_with(path));
        Ok(())
    }
}
