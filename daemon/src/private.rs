//! Files that hold customers' data are their owner's alone: what an earlier version created with
//! looser modes, or was copied, is fixed.

use std::io;
use std::path::Path;

/// Files and folders that others could use.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exposed {
    /// Those whose modes were fixed.
    pub fixed: u64,
    /// Those that belong to another user, who alone can fix them: the root of a volume whose group
    /// is that of a pod, for example.
    pub kept: u64,
}

/// Takes the rights of group and others from a folder and everything below it. Links are not
/// followed.
///
/// # Errors
/// When something cannot be read.
pub fn restrict(path: &Path) -> io::Result<Exposed> {
    let mut exposed = Exposed::default();
    visit(path, &mut exposed)?;
    Ok(exposed)
}

#[cfg(unix)]
fn visit(path: &Path, exposed: &mut Exposed) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let found = std::fs::symlink_metadata(path).map_err(named)?;
    if found.is_symlink() {
        return Ok(());
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let private = std::fs::Permissions::from_mode(mode & 0o700);
        match std::fs::set_permissions(path, private) {
            Ok(()) => exposed.fixed += 1,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => exposed.kept += 1,
            Err(e) => return Err(named(e)),
        }
    }
    if found.is_dir() {
        for entry in std::fs::read_dir(path).map_err(named)? {
            match visit(&entry.map_err(named)?.path(), exposed) {
                Ok(()) => {}
                // Removed meanwhile, by another process that shares the folder.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// There are no such rights elsewhere.
#[cfg(not(unix))]
fn visit(_: &Path, _: &mut Exposed) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn rights_of_others_are_taken_and_links_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        open(outside.path(), 0o644);
        let (data, inner) = (folder.path().join("data"), folder.path().join("data/log"));
        std::fs::create_dir_all(&inner).unwrap();
        let file = inner.join("0.seg");
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), inner.join("link")).unwrap();
        open(&data, 0o755);
        open(&inner, 0o750);
        open(&file, 0o664);
        assert_eq!(restrict(&data).unwrap().fixed, 3);
        assert_eq!(
            (mode(&data), mode(&inner), mode(&file)),
            (0o700, 0o700, 0o600)
        );
        assert_eq!(mode(outside.path()), 0o644);
        assert_eq!(restrict(&data).unwrap(), Exposed::default());
    }
}
