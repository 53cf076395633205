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

/// Who can use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner, and perhaps its group.
    Private,
    /// All users could, until now.
    Fixed,
    /// All users can; only the owner can change that.
    Exposed,
}

/// Takes the rights of all but owner and group from a file. A group is often meant to share keys.
///
/// # Errors
/// When the file cannot be found.
#[cfg(unix)]
pub fn restrict_file(path: &Path) -> io::Result<Access> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    let of_others = mode & 0o007;
    if of_others == 0 {
        return Ok(Access::Private);
    }
    let private = std::fs::Permissions::from_mode(mode & 0o770);
    Ok(match std::fs::set_permissions(path, private) {
        Ok(()) => Access::Fixed,
        Err(_) => Access::Exposed,
    })
}

/// There are no such rights elsewhere.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn restrict_file(_: &Path) -> io::Result<Access> {
    Ok(Access::Private)
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

    #[test]
    fn a_file_that_all_can_read_is_restricted_to_owner_and_group() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (before, access, after) in [
            (0o600, Access::Private, 0o600),
            (0o640, Access::Private, 0o640),
            (0o644, Access::Fixed, 0o640),
            (0o666, Access::Fixed, 0o660),
        ] {
            let permissions = std::fs::Permissions::from_mode(before);
            std::fs::set_permissions(file.path(), permissions).unwrap();
            assert_eq!(restrict_file(file.path()).unwrap(), access);
            let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, after);
        }
    }
}
