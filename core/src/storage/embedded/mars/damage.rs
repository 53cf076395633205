//! Files that cannot be read: they are set aside, and what they held is rebuilt from the log.

use std::io;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use marsdb_graph::GraphStore as Database;

use super::sandbox::judged;
use crate::storage::{Error, Result};

/// Most files of a tenant that are kept aside; the newest replaces the last one.
const KEPT: usize = 3;

/// Opens a database; `None` where the file is damaged.
pub(super) fn open(path: &Path) -> Result<Option<Database>> {
    // The engine panics on some damage.
    match catch_unwind(|| judged(Database::open_file(path))) {
        Ok(opened) => Ok(opened?.ok()),
        Err(_) => Ok(None),
    }
}

/// Renames a damaged file.
pub(super) fn set_aside(path: &Path) -> Result<()> {
    let free = kept(path).find(|aside| !aside.exists());
    let aside = free.or_else(|| kept(path).last()).unwrap_or_default();
    std::fs::rename(path, aside).map_err(|e| Error::io(&path.display(), &e))
}

fn kept(path: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=KEPT).map(|n| match n {
        1 => path.with_extension("mars.damaged"),
        n => path.with_extension(format!("mars.damaged-{n}")),
    })
}

/// Removes a tenant's file and those that were set aside.
pub(super) fn remove(path: &Path) -> Result<()> {
    for path in kept(path).chain([path.to_owned()]) {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(&path.display(), &e));
            }
            _ => {}
        }
    }
    Ok(())
}
