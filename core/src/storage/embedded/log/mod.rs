//! The log in files: a folder per tenant, topic and partition, segments of frames, one sync for all
//! that wait.

mod encryption;
mod frame;
mod group;
mod maintain;
mod repair;
mod scan;
mod stream;

use std::collections::HashMap;
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
use group::GroupCommit;
use stream::Stream;

/// A segment is closed beyond this size, in bytes.
const SEGMENT: u64 = 32 << 20;

type Streams = Mutex<HashMap<(TenantId, StreamId), Arc<Mutex<Stream>>>>;

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
    streams: Streams,
    /// Offsets below which no stream continues, also one that is opened later.
    floors: Mutex<HashMap<(TenantId, StreamId), u64>>,
}

impl Shared {
    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.root.join(tenant.as_str())
    }

    /// The stream, opened (and what is damaged set aside) when it is not open yet.
    fn stream(&self, tenant: &TenantId, id: StreamId) -> Result<Arc<Mutex<Stream>>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(&(tenant.clone(), id)) {
            return Ok(Arc::clone(stream));
        }
        let folder = self
            .folder(tenant)
            .join(id.topic.as_str())
            .join(id.partition.to_string());
        let seal = StreamSeal::new(tenant, id);
        let mut stream = Stream::open(Arc::clone(&self.files), folder, self.segment_size, seal)?;
        if let Some(floor) = self.floors().get(&(tenant.clone(), id)) {
            stream.resume_at(*floor)?;
        }
        let stream = Arc::new(Mutex::new(stream));
        streams.insert((tenant.clone(), id), Arc::clone(&stream));
        Ok(stream)
    }

    fn floors(&self) -> MutexGuard<'_, HashMap<(TenantId, StreamId), u64>> {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a stream continue at an offset. When it cannot be opened now, it does so later.
    fn resume_at(&self, tenant: &TenantId, id: StreamId, offset: u64) -> Result<u64> {
        let stream = self.stream(tenant, id);
        let floor = (tenant.clone(), id);
        self.floors().insert(floor, offset);
        locked(&*stream?).resume_at(offset)
    }

    /// Closes a stream; its next user opens it from its files.
    fn forget(&self, key: &(TenantId, StreamId)) {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
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

fn locked(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same with what encrypts and decrypts its records.
fn with_sealer<'a>(stream: &'a Mutex<Stream>, sealer: &Arc<Sealer>) -> MutexGuard<'a, Stream> {
    let mut stream = locked(stream);
    stream.seal.renew(sealer);
    stream
}

/// Compacts a stream of state, and lets records of another expire. Returns the offset before which
/// the stream has no skipped record any more, where it was compacted.
fn maintain(
    stream: &mut Stream,
    bound: Time,
    applied: &AppliedTo<'_>,
    sealer: Option<&Arc<Sealer>>,
) -> Result<Option<u64>> {
    if let Some(sealer) = sealer {
        stream.seal.renew(sealer);
        stream.close_other_key()?;
    }
    match (applied.stream.topic.signal().is_compacted(), sealer) {
        (false, _) => stream.expire(bound).map(|()| None),
        (true, Some(_)) => stream.compact(applied).map(Some),
        (true, None) => Ok(None),
    }
}

#[async_trait::async_trait]
impl EventLog for FileLog {
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()> {
        // Before it joins a group: only the request that holds such an entry fails.
        entries.iter().try_for_each(Entry::check)?;
        let sealer = self.sealer_to_write(tenant).await?;
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
            with_sealer(&stream, &sealer).tail(from, max)
        })
        .await
    }

    async fn set_aside(&self, tenant: &TenantId) -> Result<Vec<SetAside>> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let mut all = Vec::new();
            for id in shared.existing(&tenant)? {
                all.extend(locked(&*shared.stream(&tenant, id)?).set_aside_files(id)?);
            }
            Ok(all)
        })
        .await
    }

    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || Ok(locked(&*shared.stream(&tenant, stream)?).since(at))).await
    }

    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let ids = shared.existing(&tenant)?;
            ids.into_iter()
                .map(|id| Ok((id, locked(&*shared.stream(&tenant, id)?).end())))
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
                let one = shared.stream(&tenant, id).and_then(|stream| {
                    maintain(&mut locked(&stream), bound, &applied, sealer.as_ref())
                });
                // One stream that cannot be read does not keep the others.
                match one {
                    Ok(next) => compacted.extend(next.map(|next| Offset { stream: id, next })),
                    Err(e) => result = result.and(Err(e)),
                }
            }
            result.map(|()| compacted)
        })
        .await
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        let ids = self.shared.existing(tenant)?;
        ids.into_iter()
            .map(|id| Ok(locked(&*self.shared.stream(tenant, id)?).bytes()))
            .sum()
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

    fn tenants_with_files(&self) -> Result<Vec<TenantId>> {
        let root = &self.shared.root;
        let names = self.shared.files.list(root);
        let names = names.map_err(|e| Error::io(&root.display(), &e))?;
        Ok(names.iter().filter_map(|n| TenantId::parse(n)).collect())
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.shared
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(t, _), _| t != tenant);
        self.shared.floors().retain(|(t, _), _| t != tenant);
        let folder = self.shared.folder(tenant);
        self.shared
            .files
            .remove(&folder)
            .map_err(|e| Error::io(&folder.display(), &e))
    }
}
