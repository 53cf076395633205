//! Group commit: one thread writes what waits, syncs every touched stream once, and answers all.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

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
}

/// Most requests of one group.
const GROUP: usize = 1024;

/// The way to the writer thread, which ends when this is dropped.
pub(super) struct GroupCommit {
    sender: mpsc::Sender<Request>,
}

impl GroupCommit {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                let mut group = vec![first];
                group.extend(receiver.try_iter().take(GROUP));
                write(&shared, group);
            }
        });
        Self { sender }
    }

    /// Appends entries that [`Entry::check`] allows.
    pub(super) async fn append(
        &self,
        tenant: TenantId,
        entries: Vec<Entry>,
        sealer: Arc<Sealer>,
    ) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || {
            Error::new(ErrorKind::Unavailable, "the log's writer has stopped")
                .hint("restart the daemon")
        };
        self.sender
            .send(Request {
                tenant,
                entries,
                sealer,
                done,
            })
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

type Touched = BTreeMap<StreamId, Arc<Mutex<Stream>>>;

/// Writes a group. When a write or sync fails, what the same tenant has in the group is rolled back
/// and fails; other tenants have streams of their own and do not notice.
fn write(shared: &Shared, group: Vec<Request>) {
    let mut by_tenant: BTreeMap<TenantId, Vec<Request>> = BTreeMap::new();
    for request in group {
        let of_tenant = by_tenant.entry(request.tenant.clone()).or_default();
        of_tenant.push(request);
    }
    for (tenant, requests) in by_tenant {
        write_tenant(shared, &tenant, requests);
    }
}

fn write_tenant(shared: &Shared, tenant: &TenantId, requests: Vec<Request>) {
    let mut touched = Touched::new();
    let result = requests
        .iter()
        .try_for_each(|request| append(shared, request, &mut touched))
        .and_then(|()| {
            touched
                .values()
                .try_for_each(|stream| locked(stream).sync())
        });
    for (id, stream) in &touched {
        if result.is_ok() {
            locked(stream).settle();
        } else if locked(stream).roll_back().is_err() {
            // What it holds and what its file holds may differ now: whoever needs it next opens it
            // again from the file.
            shared.forget(&(tenant.clone(), *id));
        }
    }
    for request in requests {
        let answer = match &result {
            Ok(()) => Ok(()),
            Err(e) => Err(Error {
                kind: e.kind,
                message: e.message.clone(),
                hint: e.hint.clone(),
            }),
        };
        // A caller that has left does not wait for the answer.
        let _ = request.done.send(answer);
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
        with_sealer(&stream, &request.sealer).append(&entries)?;
    }
    Ok(())
}
