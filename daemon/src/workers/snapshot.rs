//! Snapshots of live state: a restart loads the newest one that is not past the commit and
//! continues from there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kgrca_core::engine::ClusterState;
use kgrca_core::model::{Str, Topic};
use kgrca_core::storage::StreamId;
use kgrca_core::storage::seal::Sealer;
use kgrca_core::tenancy::TenantId;
use serde::{Deserialize, Serialize};

use crate::telemetry;

/// Version of the files. Those of other versions are ignored, and the log is read instead.
const FORMAT: &str = concat!("kgrca snapshot 9 ", env!("CARGO_PKG_VERSION"), "\n");
/// The same, encrypted. The checksum is that of the encrypted bytes.
const ENCRYPTED: &str = concat!(
    "kgrca snapshot 8 encrypted ",
    env!("CARGO_PKG_VERSION"),
    "\n"
);
/// Number of snapshots kept: the last one may be past a commit that did not survive a power
/// failure.
const KEPT: usize = 2;

/// The folder with the snapshots of one (tenant, partition).
pub(super) struct Snapshots {
    folder: PathBuf,
    /// Binds an encrypted snapshot to its partition.
    label: String,
    /// Number of partitions: with another number, other clusters belong to this one.
    partitions: u32,
}

/// The clusters of a partition as of these offsets.
pub(super) struct Snapshot {
    pub offsets: BTreeMap<StreamId, u64>,
    pub clusters: BTreeMap<Str, ClusterState>,
}

/// Head of a file, after its format and checksum.
#[derive(Serialize, Deserialize)]
struct Head {
    partitions: u32,
    /// Topic, partition and the next offset.
    offsets: Vec<(String, u32, u64)>,
    /// Lengths of the clusters' parts.
    lengths: Vec<usize>,
}

/// The folder with all snapshots of a tenant.
pub(super) fn folder(root: &Path, tenant: &TenantId) -> PathBuf {
    root.join(tenant.as_str())
}

impl Snapshots {
    pub(super) fn of(root: &Path, tenant: &TenantId, partition: u32, partitions: u32) -> Self {
        Self {
            folder: folder(root, tenant).join(partition.to_string()),
            label: format!("snapshot/{partition}"),
            partitions,
        }
    }

    /// Paths of the snapshots, newest first.
    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<PathBuf> = entries
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "snap"))
            .collect();
        names.sort();
        names.reverse();
        names
    }

    /// Writes a snapshot atomically.
    pub(super) fn save(
        &self,
        offsets: &BTreeMap<StreamId, u64>,
        clusters: &BTreeMap<Str, ClusterState>,
        sealer: &Sealer,
    ) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let names = self.names();
        let number = |p: &PathBuf| p.file_stem()?.to_str()?.parse::<u64>().ok();
        let next = names.iter().find_map(number).unwrap_or(0) + 1;
        let path = self.folder.join(format!("{next:020}.snap"));
        let body = encode(offsets, clusters, self.partitions)?;
        let sealed = sealer.seal(&self.label, &body).map_err(io::Error::other)?;
        match sealed {
            Some(sealed) => self.put(&path, ENCRYPTED, &sealed)?,
            None => self.put(&path, FORMAT, &body)?,
        }
        for old in names.iter().skip(KEPT - 1) {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    /// The newest intact snapshot that is not past the commit.
    pub(super) fn newest(
        &self,
        committed: &BTreeMap<StreamId, u64>,
        sealer: &Sealer,
    ) -> Option<Snapshot> {
        if let Err(error) = self.encrypt(sealer) {
            tracing::warn!(folder = %self.folder.display(), %error, "snapshots left in clear");
        }
        for path in self.names() {
            match fs::read(&path).and_then(|bytes| self.decode(&bytes, sealer)) {
                Ok(snapshot) => {
                    let is_past = snapshot
                        .offsets
                        .iter()
                        .any(|(s, next)| committed.get(s).copied().unwrap_or(0) < *next);
                    if !is_past {
                        return Some(snapshot);
                    }
                }
                Err(e) => telemetry::SnapshotUnreadable {
                    path: &path,
                    error: &e,
                }
                .emit(),
            }
        }
        None
    }

    /// Encrypts snapshots from before encryption was switched on.
    fn encrypt(&self, sealer: &Sealer) -> io::Result<()> {
        if sealer.current().is_none() {
            return Ok(());
        }
        for path in self.names() {
            let bytes = fs::read(&path)?;
            let Some(Ok(body)) = bytes.strip_prefix(FORMAT.as_bytes()).map(checked) else {
                continue;
            };
            let sealed = sealer.seal(&self.label, body).map_err(io::Error::other)?;
            if let Some(sealed) = sealed {
                self.put(&path, ENCRYPTED, &sealed)?;
            }
        }
        Ok(())
    }

    /// Writes a file atomically.
    fn put(&self, path: &Path, format: &str, body: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join("new");
        let mut file = fs::File::create(&temporary)?;
        write(&mut file, format, body)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(&self.folder)?.sync_all()
    }

    fn decode(&self, file: &[u8], sealer: &Sealer) -> io::Result<Snapshot> {
        if let Some(rest) = file.strip_prefix(ENCRYPTED.as_bytes()) {
            let body = sealer.open(&self.label, checked(rest)?);
            return decode(&body.map_err(io::Error::other)?, self.partitions);
        }
        let rest = file.strip_prefix(FORMAT.as_bytes());
        let rest = rest.ok_or_else(|| damaged("written by another version"))?;
        decode(checked(rest)?, self.partitions)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn write(file: &mut fs::File, format: &str, body: &[u8]) -> io::Result<()> {
    file.write_all(format.as_bytes())?;
    file.write_all(&crc32fast::hash(body).to_le_bytes())?;
    file.write_all(body)
}

/// What follows a checksum, when it is right.
fn checked(rest: &[u8]) -> io::Result<&[u8]> {
    let (sum, body) = rest
        .split_at_checked(4)
        .ok_or_else(|| damaged("truncated"))?;
    if crc32fast::hash(body).to_le_bytes() != sum {
        return Err(damaged("checksum mismatch"));
    }
    Ok(body)
}

/// The compressed content of a snapshot.
fn encode(
    offsets: &BTreeMap<StreamId, u64>,
    clusters: &BTreeMap<Str, ClusterState>,
    partitions: u32,
) -> io::Result<Vec<u8>> {
    let parts: Vec<Vec<u8>> = clusters
        .values()
        .map(ClusterState::snapshot)
        .collect::<io::Result<_>>()?;
    let head = Head {
        partitions,
        offsets: offsets
            .iter()
            .map(|(s, next)| (s.topic.as_str().to_owned(), s.partition, *next))
            .collect(),
        lengths: parts.iter().map(Vec::len).collect(),
    };
    let mut body = serde_json::to_vec(&head)?;
    body.push(b'\n');
    body.extend(parts.into_iter().flatten());
    zstd::encode_all(&*body, 1)
}

fn decode(packed: &[u8], partitions: u32) -> io::Result<Snapshot> {
    let body = zstd::decode_all(packed)?;
    let end = body
        .iter()
        .position(|b| *b == b'\n')
        .ok_or_else(|| damaged("missing head"))?;
    let head: Head = serde_json::from_slice(&body[..end])?;
    if head.partitions != partitions {
        return Err(damaged("taken with another number of partitions"));
    }
    let stream = |(topic, partition, next): (String, u32, u64)| {
        Some((
            StreamId {
                topic: Topic::parse(&topic)?,
                partition,
            },
            next,
        ))
    };
    let mut rest = &body[end + 1..];
    let mut clusters = BTreeMap::new();
    for length in head.lengths {
        let (part, after) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("a cluster is truncated"))?;
        let state = ClusterState::from_snapshot(part)?;
        clusters.insert(state.name.clone(), state);
        rest = after;
    }
    Ok(Snapshot {
        offsets: head.offsets.into_iter().filter_map(stream).collect(),
        clusters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_intact_snapshot_not_past_the_commit_is_used() {
        let root = tempfile::tempdir().unwrap();
        let tenant = TenantId::parse("client-a-abc123").unwrap();
        let snapshots = Snapshots::of(root.path(), &tenant, 0, 1);
        let sealer = Sealer::clear(tenant.clone());
        let at = |next| {
            BTreeMap::from([(
                StreamId {
                    topic: Topic::Events,
                    partition: 0,
                },
                next,
            )])
        };
        assert!(
            snapshots.newest(&at(9), &sealer).is_none(),
            "there is none at first"
        );
        let clusters = BTreeMap::from([("prod".into(), ClusterState::new("prod"))]);
        for next in [3, 5, 7] {
            snapshots.save(&at(next), &clusters, &sealer).unwrap();
        }
        assert_eq!(snapshots.names().len(), KEPT);
        assert_eq!(snapshots.newest(&at(9), &sealer).unwrap().offsets, at(7));
        assert_eq!(
            snapshots.newest(&at(6), &sealer).unwrap().offsets,
            at(5),
            "one past the commit is skipped"
        );
        assert!(
            Snapshots::of(root.path(), &tenant, 0, 2)
                .newest(&at(9), &sealer)
                .is_none(),
            "none fits another number of partitions"
        );
        let newest = snapshots.names().remove(0);
        let mut bytes = fs::read(&newest).unwrap();
        let middle = bytes.len() - 3;
        bytes[middle] ^= 1;
        fs::write(&newest, bytes).unwrap();
        assert_eq!(
            snapshots.newest(&at(9), &sealer).unwrap().offsets,
            at(5),
            "a damaged one is skipped"
        );
    }

    #[test]
    fn an_encrypted_snapshot_opens_with_its_key_and_an_older_one_stays_readable() {
        let root = tempfile::tempdir().unwrap();
        let tenant = TenantId::parse("client-a-abc123").unwrap();
        let snapshots = Snapshots::of(root.path(), &tenant, 0, 1);
        let clusters = BTreeMap::from([("prod".into(), ClusterState::new("prod"))]);
        let none = BTreeMap::new();
        let clear = Sealer::clear(tenant.clone());
        snapshots.save(&none, &clusters, &clear).unwrap();
        let sealer = Sealer::new(tenant.clone(), || Ok([5; kgrca_core::storage::seal::SALT]));
        sealer.put(1, &[1; kgrca_core::storage::seal::KEY]);
        sealer.write_with(Some(1));
        assert!(snapshots.newest(&none, &sealer).is_some(), "in clear");
        let bytes = fs::read(&snapshots.names()[0]).unwrap();
        assert!(bytes.starts_with(ENCRYPTED.as_bytes()), "and encrypted now");
        for _ in 0..KEPT {
            snapshots.save(&none, &clusters, &sealer).unwrap();
        }
        assert!(snapshots.newest(&none, &sealer).is_some());
        assert!(snapshots.newest(&none, &clear).is_none(), "without its key");
        let elsewhere = Snapshots {
            label: "snapshot/1".into(),
            ..snapshots
        };
        assert!(elsewhere.newest(&none, &sealer).is_none());
    }
}
