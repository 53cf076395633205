//! The log in files: a folder per tenant, topic and partition, segments of frames, one sync for all
//! that wait.

mod compact;
mod encryption;
mod folder;
mod frame;
mod group;
mod index;
mod repair;
mod scan;
mod stream;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::Files;
use crate::model::{Time, Topic};
use crate::storage::seal::{Keyring, Sealer};
use crate::storage::{
    Applied, AppliedTo, Entry, Error, ErrorKind, EventLog, Offset, Result, SetAside, Stored,
    StreamId, Tail,
};
use crate::tenancy::TenantId;
use encryption::StreamSeal;
use folder::Folder;
use group::GroupCommit;
use stream::Stream;

/// A segment is closed beyond this size, in bytes.
const SEGMENT: u64 = 32 << 20;

type Key = (TenantId, StreamId);
/// A stream, once it is open. Whoever opens it holds this meanwhile, and nothing of other streams.
type Slot = Arc<Mutex<Option<Arc<Mutex<Stream>>>>>;

/// The durable log of all tenants below one folder.
pub struct FileLog {
    shared: Arc<Shared>,
    writer: GroupCommit,
    keyring: Option<Arc<dyn Keyring>>,
}

/// What the writer thread and readers share.
struct Shared {
    files: Arc<dyn Files>,
    root: PathBuf,
    segment_size: u64,
    streams: Mutex<HashMap<Key, Slot>>,
    /// Offsets below which no stream continues, also one that is opened later.
    floors: Mutex<HashMap<Key, u64>>,
}

impl Shared {
    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.root.join(tenant.as_str())
    }

    /// The stream, opened (and what is damaged set aside) when it is not open yet.
    fn stream(&self, tenant: &TenantId, id: StreamId) -> Result<Arc<Mutex<Stream>>> {
        let slot = self.slot(&(tenant.clone(), id));
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = &*slot {
            return Ok(Arc::clone(stream));
        }
        let path = self
            .folder(tenant)
            .join(id.topic.as_str())
            .join(id.partition.to_string());
        let folder = Folder::new(Arc::clone(&self.files), path);
        let seal = StreamSeal::new(tenant, id);
        let mut stream = Stream::open(folder, self.segment_size, seal)?;
        let floor = self.floors().get(&(tenant.clone(), id)).copied();
        if let Some(floor) = floor {
            stream.resume_at(floor)?;
        }
        let stream = Arc::new(Mutex::new(stream));
        *slot = Some(Arc::clone(&stream));
        Ok(stream)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: &Key) -> Slot {
        Arc::clone(self.slots().entry(key.clone()).or_default())
    }

    /// Whether a stream is open, so that no caller waits for its files.
    fn is_open(&self, key: &Key) -> bool {
        let slot = self.slots().get(key).cloned();
        slot.is_some_and(|slot| slot.try_lock().is_ok_and(|slot| slot.is_some()))
    }

    fn floors(&self) -> MutexGuard<'_, HashMap<Key, u64>> {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a stream continue at an offset, also when it cannot be opened now. Returns where it
    /// ended.
    fn resume_at(&self, tenant: &TenantId, id: StreamId, offset: u64) -> Result<u64> {
        // Before it is opened, by whomever.
        self.floors().insert((tenant.clone(), id), offset);
        let stream = self.stream(tenant, id)?;
        let mut stream = locked(&stream)?;
        let end = stream.resume_at(offset)?;
        Ok(stream.cut_at.take().unwrap_or(end))
    }

    /// Closes a stream; its next user opens it from its files.
    fn forget(&self, key: &Key) {
        let slot = self.slot(key);
        close(&mut slot.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Closes all streams of a tenant and removes their files. Who needs one of them waits.
    fn remove(&self, tenant: &TenantId) -> Result<()> {
        let slots: Vec<Slot> = {
            let all = self.slots();
            let own = all.iter().filter(|((owner, _), _)| owner == tenant);
            own.map(|(_, slot)| Arc::clone(slot)).collect()
        };
        let mut held = Vec::new();
        for slot in &slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            close(&mut slot);
            held.push(slot);
        }
        let folder = self.folder(tenant);
        let removed = self.files.remove(&folder);
        drop(held);
        self.slots().retain(|(owner, _), _| owner != tenant);
        self.floors().retain(|(owner, _), _| owner != tenant);
        removed.map_err(|e| Error::io(&folder.display(), &e))
    }

    /// The streams that a tenant has on disk.
    fn existing(&self, tenant: &TenantId) -> Result<Vec<StreamId>> {
        let folder = self.folder(tenant);
        let list = |path: &Path| {
            self.files
                .list(path)
                .map_err(|e| Error::io(&path.display(), &e))
        };
        let mut ids = Vec::new();
        for topic in list(&folder)?.iter().filter_map(|name| Topic::parse(name)) {
            for partition in list(&folder.join(topic.as_str()))?
                .iter()
                .filter_map(|n| n.parse().ok())
            {
                ids.push(StreamId { topic, partition });
            }
        }
        Ok(ids)
    }
}

impl FileLog {
    /// Opens the log below a folder; streams are opened when they are first used.
    pub fn open(files: Arc<dyn Files>, root: impl Into<PathBuf>) -> Self {
        Self::with_segments(files, root, SEGMENT)
    }

    /// The same with another segment size, in bytes.
    pub fn with_segments(
        files: Arc<dyn Files>,
        root: impl Into<PathBuf>,
        segment_size: u64,
    ) -> Self {
        let shared = Arc::new(Shared {
            files,
            root: root.into(),
            segment_size,
            streams: Mutex::default(),
            floors: Mutex::default(),
        });
        Self {
            writer: GroupCommit::start(Arc::clone(&shared)),
            shared,
            keyring: None,
        }
    }

    /// The same with records that are encrypted as the keyring says.
    #[must_use]
    pub fn encrypted_by(self, keyring: Arc<dyn Keyring>) -> Self {
        Self {
            keyring: Some(keyring),
            ..self
        }
    }

    /// Opens the streams of entries here, where only their sender waits for it, and not in the
    /// writer, for which all tenants wait.
    async fn open_streams(&self, tenant: &TenantId, entries: &[Entry]) -> Result<()> {
        let ids: BTreeSet<StreamId> = entries.iter().map(|entry| entry.stream).collect();
        let closed: Vec<StreamId> = ids
            .into_iter()
            .filter(|id| !self.shared.is_open(&(tenant.clone(), *id)))
            .collect();
        if closed.is_empty() {
            return Ok(());
        }
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let mut opened = closed.into_iter().map(|id| shared.stream(&tenant, id));
            opened.try_for_each(|stream| stream.map(drop))
        })
        .await
    }

    /// What decrypts the records of a tenant.
    async fn sealer(&self, tenant: &TenantId) -> Result<Arc<Sealer>> {
        match &self.keyring {
            Some(keyring) => keyring.sealer(tenant).await,
            None => Ok(Arc::new(Sealer::clear(tenant.clone()))),
        }
    }

    /// What encrypts new records of a tenant.
    async fn sealer_to_write(&self, tenant: &TenantId) -> Result<Arc<Sealer>> {
        match &self.keyring {
            Some(keyring) => keyring.sealer_to_write(tenant).await,
            None => self.sealer(tenant).await,
        }
    }
}

/// Runs work on files on a blocking thread, so that a slow disk does not block other tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
}

/// A stream for one call.
///
/// # Errors
/// When it was closed, or its tenant deleted: its files are no longer its own.
fn locked(stream: &Mutex<Stream>) -> Result<MutexGuard<'_, Stream>> {
    let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    if stream.is_forgotten {
        let message = format!("{}: closed meanwhile", stream.folder.path.display());
        return Err(Error::new(ErrorKind::Unavailable, message).hint("retry"));
    }
    Ok(stream)
}

/// The same with what encrypts and decrypts its records.
fn with_sealer<'a>(
    stream: &'a Mutex<Stream>,
    sealer: &Arc<Sealer>,
) -> Result<MutexGuard<'a, Stream>> {
    let mut stream = locked(stream)?;
    stream.seal.renew(sealer);
    Ok(stream)
}

/// Empties a slot, and lets whoever still uses its stream know.
fn close(slot: &mut Option<Arc<Mutex<Stream>>>) {
    if let Some(stream) = slot.take() {
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.is_forgotten = true;
    }
}

/// Compacts a stream of state, and lets records of another expire. Returns the offset before which
/// the stream has no skipped record any more, where it was compacted.
fn maintain(
    stream: &Mutex<Stream>,
    bound: Time,
    applied: &AppliedTo<'_>,
    sealer: Option<&Arc<Sealer>>,
) -> Result<Option<u64>> {
    if let Some(sealer) = sealer {
        with_sealer(stream, sealer)?.close_other_key()?;
    }
    let until = match (applied.stream.topic.signal().is_compacted(), sealer) {
        (false, _) => locked(stream)?.expire(bound).map(|()| None),
        (true, Some(_)) => compact::compact(stream, applied).map(Some),
        (true, None) => Ok(None),
    }?;
    // Without it, a start takes longer.
    let _ = locked(stream)?.save_index();
    Ok(until)
}

#[async_trait::async_trait]
impl EventLog for FileLog {
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()> {
        // Before it joins a group: only the request that holds such an entry fails.
        entries.iter().try_for_each(Entry::check)?;
        let sealer = self.sealer_to_write(tenant).await?;
        self.open_streams(tenant, &entries).await?;
        self.writer.append(tenant.clone(), entries, sealer).await
    }

    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        Ok(self.tail(tenant, stream, from, max).await?.records)
    }

    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Tail> {
        let sealer = self.sealer(tenant).await?;
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let stream = shared.stream(&tenant, stream)?;
            with_sealer(&stream, &sealer)?.tail(from, max)
        })
        .await
    }

    async fn set_aside(&self, tenant: &TenantId) -> Result<Vec<SetAside>> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let mut all = Vec::new();
            for id in shared.existing(&tenant)? {
                all.extend(locked(&*shared.stream(&tenant, id)?)?.set_aside_files(id)?);
            }
            Ok(all)
        })
        .await
    }

    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || Ok(locked(&*shared.stream(&tenant, stream)?)?.since(at))).await
    }

    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let ids = shared.existing(&tenant)?;
            ids.into_iter()
                .map(|id| Ok((id, locked(&*shared.stream(&tenant, id)?)?.end())))
                .collect()
        })
        .await
    }

    async fn resume_at(&self, tenant: &TenantId, stream: StreamId, offset: u64) -> Result<u64> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || shared.resume_at(&tenant, stream, offset)).await
    }

    async fn maintain(
        &self,
        tenant: &TenantId,
        retention: i64,
        now: Time,
        applied: Applied,
    ) -> Result<Vec<Offset>> {
        let sealer = self.sealer_to_write(tenant).await;
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        let bound = now.plus(-retention);
        blocking(move || {
            let (sealer, mut result) = match sealer {
                Ok(sealer) => (Some(sealer), Ok(())),
                // Records expire without a key, too.
                Err(e) => (None, Err(e)),
            };
            let mut compacted = Vec::new();
            for id in shared.existing(&tenant)? {
                let applied = applied.to(id);
                let one = shared
                    .stream(&tenant, id)
                    .and_then(|stream| maintain(&stream, bound, &applied, sealer.as_ref()));
                // One stream that cannot be read does not keep the others.
                match one {
                    Ok(next) => compacted.extend(next.map(|next| Offset { stream: id, next })),
                    Err(e) => {
                        // What it holds and what its files hold may differ now.
                        if e.kind != ErrorKind::Unavailable {
                            shared.forget(&(tenant.clone(), id));
                        }
                        result = result.and(Err(e));
                    }
                }
            }
            result.map(|()| compacted)
        })
        .await
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let ids = shared.existing(&tenant)?;
            ids.into_iter()
                .map(|id| Ok(locked(&*shared.stream(&tenant, id)?)?.bytes()))
                .sum()
        })
        .await
    }

    async fn check(&self) -> Result<String> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let probe = shared.root.join("probe");
            let written = shared
                .files
                .append(&probe, b"x")
                .and_then(|()| shared.files.remove(&probe));
            written.map_err(|e| Error::io(&probe.display(), &e))?;
            Ok(format!("files below {}", shared.root.display()))
        })
        .await
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.shared.root)
    }

    fn tenants_with_files(&self) -> Result<Vec<TenantId>> {
        let root = &self.shared.root;
        let names = self.shared.files.list(root);
        let names = names.map_err(|e| Error::io(&root.display(), &e))?;
        Ok(names.iter().filter_map(|n| TenantId::parse(n)).collect())
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || shared.remove(&tenant)).await
    }
}
