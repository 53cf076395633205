//! Whose log a file is, and which file it is.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A container, as the kubelet's folders name it:
/// `<namespace>_<pod>_<uid>/<container>/<restarts>.log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Namespace of its pod.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// Uid of its pod.
    pub uid: String,
    /// Its name.
    pub name: String,
}

impl Container {
    /// The uid by which the API knows its pod. The folder of a static pod bears the hash of its
    /// manifest instead: 32 digits without dashes.
    pub fn pod_uid(&self) -> Option<&str> {
        let is_hash = self.uid.len() == 32 && self.uid.bytes().all(|b| b.is_ascii_hexdigit());
        (!is_hash).then_some(&self.uid)
    }
}

/// The containers of a folder, with their own folders. What is named otherwise is somebody else's.
pub fn containers(folder: &Path) -> io::Result<Vec<(Container, PathBuf)>> {
    let mut all = Vec::new();
    for pod in subfolders(folder)? {
        let Some(parts) =
            name(&pod).map(|n| n.splitn(3, '_').map(str::to_owned).collect::<Vec<_>>())
        else {
            continue;
        };
        let [namespace, pod_name, uid] = parts.as_slice() else {
            continue;
        };
        // It may be removed while it is looked at.
        for container in subfolders(&pod).unwrap_or_default() {
            let Some(own) = name(&container).map(str::to_owned) else {
                continue;
            };
            let known = Container {
                namespace: namespace.clone(),
                pod: pod_name.clone(),
                uid: uid.clone(),
                name: own,
            };
            all.push((known, container));
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

/// Files of a container, oldest first: those that were rotated away, then the one that is written.
/// Of packed ones the text was read before they were packed.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<(u64, bool, String, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some((restarts, rest)) = name(&path).and_then(|n| n.split_once(".log")) else {
            continue;
        };
        let Ok(restarts) = restarts.parse() else {
            continue;
        };
        let is_packed = Path::new(rest)
            .extension()
            .is_some_and(|e| e == "gz" || e == "tmp");
        if rest.is_empty() || rest.starts_with('.') && !is_packed {
            // The names of rotated files are times.
            all.push((restarts, rest.is_empty(), rest.to_owned(), path));
        }
    }
    all.sort();
    all.into_iter().map(|(.., path)| path).collect()
}

/// How much of a file's first line makes it this file.
const HEAD: u64 = 256;

/// Which file this is, whatever it is called: where it lies on the disk, and how it begins. `None`
/// while its first line is not whole.
pub fn fingerprint(file: &mut File) -> io::Result<Option<String>> {
    let status = file.metadata()?;
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    match head.iter().position(|b| *b == b'\n') {
        Some(end) => head.truncate(end),
        None if head.len() as u64 == HEAD => {}
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
    fn folders_of_the_kubelet_are_understood() {
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
        let (container, folder) = &found[0];
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
    fn a_file_is_known_again_under_another_name() {
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
