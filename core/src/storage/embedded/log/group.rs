//! Group commit: one thread writes what waits of a tenant, syncs every touched stream once, and
//! answers. Tenants take turns, so that a small batch does not wait for all that another sent.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Shared, Stream, locked, with_sealer};
use crate::storage::seal::Sealer;
use crate::storage::{Entry, Error, ErrorKind, Result, StreamId};
use crate::tenancy::TenantId;

struct Request {
    tenant: TenantId,
    entries: Vec<Entry>,
    sealer: Arc<Sealer>,
    done: oneshot::Sender<Result<()>>,
    /// Size of the entries.
    bytes: usize,
}

/// Most requests of one turn.
const GROUP: usize = 1024;
/// Bytes beyond which a turn takes no further request.
const TURN_BYTES: usize = 4 << 20;
/// Bytes beyond which a tenant's further requests are refused while it waits.
const WAITING_BYTES: usize = 128 << 20;

/// The way to the writer thread, which ends when this is dropped.
pub(super) struct GroupCommit {
    queue: Arc<Queue>,
}

/// What waits for the writer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Tenants with requests, in the order of their turns.
    turns: VecDeque<TenantId>,
    requests: HashMap<TenantId, OfTenant>,
    is_closed: bool,
}

#[derive(Default)]
struct OfTenant {
    requests: VecDeque<Request>,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, request: Request) -> Result<()> {
        if self.is_closed {
            return Err(stopped());
        }
        let tenant = request.tenant.clone();
        let waiting = self.requests.entry(tenant.clone()).or_default();
        if waiting.requests.is_empty() {
            self.turns.push_back(tenant);
        } else if waiting.bytes + request.bytes > WAITING_BYTES {
            let message = "too many records of this tenant wait to be written";
            return Err(Error::new(ErrorKind::Unavailable, message).hint("retry later"));
        }
        waiting.bytes += request.bytes;
        waiting.requests.push_back(request);
        Ok(())
    }

    /// What is written next, all of one tenant.
    fn next(&mut self) -> Option<Vec<Request>> {
        let tenant = self.turns.pop_front()?;
        let waiting = self.requests.get_mut(&tenant)?;
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < GROUP && bytes < TURN_BYTES {
            let Some(request) = waiting.requests.pop_front() else {
                break;
            };
            bytes += request.bytes;
            group.push(request);
        }
        waiting.bytes -= bytes;
        if waiting.requests.is_empty() {
            self.requests.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(group)
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what is written next; `None` once the queue is closed and empty.
    fn next(&self) -> Option<Vec<Request>> {
        let mut waiting = self.waiting();
        loop {
            if let Some(group) = waiting.next() {
                return Some(group);
            }
            if waiting.is_closed {
                return None;
            }
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The writer's end of the queue. When it ends, even by a panic, pending appends fail.
struct Writer(Arc<Queue>);

impl Drop for Writer {
    fn drop(&mut self) {
        *self.0.waiting() = Waiting {
            is_closed: true,
            ..Waiting::default()
        };
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.queue.waiting().is_closed = true;
        self.queue.changed.notify_one();
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the log's writer has stopped").hint("restart the daemon")
}

impl GroupCommit {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let queue = Arc::new(Queue::default());
        let writer = Writer(Arc::clone(&queue));
        std::thread::spawn(move || {
            while let Some(group) = writer.0.next() {
                write(&shared, group);
            }
        });
        Self { queue }
    }

    /// Appends entries that [`Entry::check`] allows.
    pub(super) async fn append(
        &self,
        tenant: TenantId,
        entries: Vec<Entry>,
        sealer: Arc<Sealer>,
    ) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.queue.waiting().push(Request {
            tenant,
            bytes: entries.iter().map(Entry::bytes).sum(),
            entries,
            sealer,
            done,
        })?;
        self.queue.changed.notify_one();
        answer.await.map_err(|_| stopped())?
    }
}

type Touched = BTreeMap<StreamId, Arc<Mutex<Stream>>>;

/// Writes a group of one tenant. When a write or sync fails, all of it is rolled back and fails;
/// other tenants have streams of their own and do not notice.
fn write(shared: &Shared, requests: Vec<Request>) {
    let Some(first) = requests.first() else {
        return;
    };
    let tenant = &first.tenant.clone();
    let mut touched = Touched::new();
    let result = requests
        .iter()
        .try_for_each(|request| append(shared, request, &mut touched))
        .and_then(|()| {
            touched
                .values()
                .try_for_each(|stream| locked(stream)?.sync())
        });
    for (id, stream) in &touched {
        // Of a tenant that was deleted meanwhile, nothing is left to take back.
        let Ok(mut open) = locked(stream) else {
            continue;
        };
        if result.is_ok() {
            open.settle();
        } else if open.roll_back().is_err() {
            drop(open);
            // What it holds and what its file holds may differ now: whoever needs it next opens it
            // again from the file.
            shared.forget(&(tenant.clone(), *id));
        }
    }
    for request in requests {
        // A caller that has left does not wait for the answer.
        let _ = request.done.send(result.clone());
    }
}

fn append(shared: &Shared, request: &Request, touched: &mut Touched) -> Result<()> {
    let mut by_stream: BTreeMap<StreamId, Vec<&Entry>> = BTreeMap::new();
    for entry in &request.entries {
        by_stream.entry(entry.stream).or_default().push(entry);
    }
    for (id, entries) in by_stream {
        let stream = shared.stream(&request.tenant, id)?;
        touched.insert(id, Arc::clone(&stream));
        with_sealer(&stream, &request.sealer)?.append(&entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Time, Topic};

    fn request(tenant: &str, bytes: usize) -> Request {
        let tenant = TenantId::parse(tenant).unwrap();
        let entry = Entry {
            stream: StreamId {
                topic: Topic::Logs,
                partition: 0,
            },
            key: Box::default(),
            value: Box::default(),
            received_at: Time(0),
        };
        Request {
            sealer: Arc::new(Sealer::clear(tenant.clone())),
            tenant,
            entries: vec![entry],
            done: oneshot::channel().0,
            bytes,
        }
    }

    #[test]
    fn whoever_sends_much_waits_for_others_and_others_do_not_wait_for_it() {
        let mut waiting = Waiting::default();
        let (a, b) = ("client-a-000000", "client-b-000000");
        for _ in 0..10 {
            waiting.push(request(a, TURN_BYTES)).unwrap();
        }
        for _ in 0..10 {
            waiting.push(request(b, 100)).unwrap();
        }
        let mut turns = Vec::new();
        while let Some(group) = waiting.next() {
            turns.push((group[0].tenant.to_string(), group.len()));
        }
        let (a, b) = (a.to_owned(), b.to_owned());
        assert_eq!(turns[..3], [(a.clone(), 1), (b, 10), (a.clone(), 1)]);
        assert_eq!(turns.len(), 11);
        assert!(waiting.requests.is_empty() && waiting.turns.is_empty());
    }

    #[test]
    fn what_a_tenant_has_waiting_is_bounded_and_one_request_always_fits() {
        let mut waiting = Waiting::default();
        let (a, b) = ("client-a-000000", "client-b-000000");
        waiting.push(request(a, 2 * WAITING_BYTES)).unwrap();
        let refused = waiting.push(request(a, 1)).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unavailable);
        waiting.push(request(b, 1)).unwrap();
        waiting.next().unwrap();
        waiting.push(request(a, 1)).unwrap();
    }

    #[test]
    fn appends_fail_once_the_writer_has_stopped() {
        let queue = Arc::new(Queue::default());
        queue.waiting().push(request("client-a-000000", 1)).unwrap();
        drop(Writer(Arc::clone(&queue)));
        assert!(queue.waiting().requests.is_empty());
        assert!(queue.waiting().push(request("client-a-000000", 1)).is_err());
    }
}
