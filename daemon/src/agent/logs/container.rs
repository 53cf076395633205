//! Containers and log files, as the kubelet names them.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A container, from the path of its log: `<namespace>_<pod>_<uid>/<container>/<restarts>.log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod, or the hash of a static pod.
    pub uid: String,
    /// Name of the container.
    pub name: String,
}

impl Container {
    /// The uid of the pod in the API. None for static pods, whose directory has the hash of the
    /// manifest instead: 32 hexadecimal digits without dashes.
    pub fn pod_uid(&self) -> Option<&str> {
        let is_hash = self.uid.len() == 32 && self.uid.bytes().all(|b| b.is_ascii_hexdigit());
        (!is_hash).then_some(&self.uid)
    }
}

/// A container and the directory of its log files.
pub struct ContainerFolder {
    /// The container.
    pub container: Container,
    /// The directory.
    pub folder: PathBuf,
}

/// Finds the containers below a directory. Directories with other names are ignored.
///
/// # Errors
/// If the directory cannot be listed.
pub fn containers(root: &Path) -> io::Result<Vec<ContainerFolder>> {
    let mut all = Vec::new();
    for pod_folder in subfolders(root)? {
        let Some(pod_name) = name(&pod_folder) else {
            continue;
        };
        let parts: Vec<&str> = pod_name.splitn(3, '_').collect();
        let [namespace, pod, uid] = parts[..] else {
            continue;
        };
        // The pod may be deleted meanwhile.
        for folder in subfolders(&pod_folder).unwrap_or_default() {
            let Some(container_name) = name(&folder) else {
                continue;
            };
            let container = Container {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                uid: uid.to_owned(),
                name: container_name.to_owned(),
            };
            all.push(ContainerFolder { container, folder });
        }
    }
    Ok(all)
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn subfolders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_dir())
        .collect();
    all.sort();
    Ok(all)
}

/// Log files of a container, oldest first: rotated ones, then the current one. Compressed files are
/// skipped: they were read before they were compressed.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct LogPath {
        restarts: u64,
        is_current: bool,
        /// The time of a rotated file.
        suffix: String,
        path: PathBuf,
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some((restarts, suffix)) = name(&path).and_then(|n| n.split_once(".log")) else {
            continue;
        };
        let Ok(restarts) = restarts.parse() else {
            continue;
        };
        let is_compressed = Path::new(suffix)
            .extension()
            .is_some_and(|e| e == "gz" || e == "tmp");
        let is_current = suffix.is_empty();
        if is_current || suffix.starts_with('.') && !is_compressed {
            let suffix = suffix.to_owned();
            all.push(LogPath {
                restarts,
                is_current,
                suffix,
                path,
            });
        }
    }
    all.sort();
    all.into_iter().map(|log| log.path).collect()
}

/// Bytes of a file's first line that identify it.
const HEAD_BYTES: u64 = 256;

/// Identifies a file independently of its name, by its inode and its beginning. `None` until its
/// first line is complete.
pub fn fingerprint(file: &mut File) -> io::Result<Option<String>> {
    let status = file.metadata()?;
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    match head.iter().position(|b| *b == b'\n') {
        Some(end) => head.truncate(end),
        None if head.len() as u64 == HEAD_BYTES => {}
        None => return Ok(None),
    }
    let hash =
        foldhash::quality::FixedState::default().hash_one((status.dev(), status.ino(), &head));
    Ok(Some(format!("{:x}-{hash:016x}", status.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_kubelet_are_parsed() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("shop_web-1_0a-1b/app");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(root.path().join("lost+found/x")).unwrap();
        for file in [
            "1.log",
            "0.log.20260101-100000",
            "0.log.20260101-090000.gz",
            "0.log",
            "0.log.20260101-110000",
            "x.log",
            "notes",
        ] {
            std::fs::write(own.join(file), "x\n").unwrap();
        }
        let found = containers(root.path()).unwrap();
        assert_eq!(found.len(), 1);
        let ContainerFolder { container, folder } = &found[0];
        assert_eq!(
            (
                container.namespace.as_str(),
                container.pod.as_str(),
                container.uid.as_str(),
                container.name.as_str()
            ),
            ("shop", "web-1", "0a-1b", "app")
        );
        assert_eq!(container.pod_uid(), Some("0a-1b"));
        let is_static = Container {
            uid: "0123456789abcdef0123456789abcdef".into(),
            ..container.clone()
        };
        assert_eq!(is_static.pod_uid(), None);
        let names: Vec<String> = files(folder)
            .iter()
            .filter_map(|p| name(p).map(str::to_owned))
            .collect();
        assert_eq!(
            names,
            [
                "0.log.20260101-100000",
                "0.log.20260101-110000",
                "0.log",
                "1.log"
            ]
        );
    }

    #[test]
    fn a_renamed_file_is_recognized() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        std::fs::write(&a, "begins").unwrap();
        assert_eq!(fingerprint(&mut File::open(&a).unwrap()).unwrap(), None);
        std::fs::write(&a, "begins here\nmore\n").unwrap();
        let first = fingerprint(&mut File::open(&a).unwrap()).unwrap().unwrap();
        std::fs::rename(&a, &b).unwrap();
        std::fs::write(&a, "begins here\nmore\n").unwrap();
        assert_eq!(
            fingerprint(&mut File::open(&b).unwrap()).unwrap().unwrap(),
            first
        );
        assert_ne!(
            fingerprint(&mut File::open(&a).unwrap()).unwrap().unwrap(),
            first
        );
    }
}
