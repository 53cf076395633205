//! Files and directories that only their owner can read, whatever the umask: they hold keys, or a
//! customer's data.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a file, or empties it.
pub fn create(path: &Path) -> io::Result<File> {
    open(
        OpenOptions::new().create(true).truncate(true).write(true),
        path,
    )
}

/// Opens a file to append to it, and creates it first if it is not there.
pub fn append(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().create(true).append(true), path)
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let file = options.open(path)?;
    close_to_others(&file)?;
    Ok(file)
}

/// Files that were there may have another mode.
#[cfg(unix)]
fn close_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn close_to_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// Creates a directory.
pub fn create_directory(path: &Path) -> io::Result<()> {
    builder().create(path)
}

/// Creates a directory and those that it is in, unless they are there.
pub fn create_directories(path: &Path) -> io::Result<()> {
    builder().recursive(true).create(path)
}

fn builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}
