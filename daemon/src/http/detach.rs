//! Requests are completed even if the caller disconnects or the time-out passes: dropping a handler
//! midway would leave a change half done, and would return the turn of a read whose work continues.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tokio::task::AbortHandle;
use tokio_stream::Stream;

use super::auth::{current_request_id, with_request_id};
use crate::usecases::budgets::Held;

/// What ends with its request: it changes nothing, and takes long.
const ENDS_WITH_ITS_REQUEST: &str = "/rca/analyze";

/// Runs the handler of a request in a task of its own. A caller who disconnects before its body has
/// arrived ends the task, too: nothing has begun then.
pub async fn complete(request: Request, next: Next) -> Response {
    if request.uri().path().ends_with(ENDS_WITH_ITS_REQUEST) {
        return next.run(request).await;
    }
    let progress = Progress::default();
    let request = request.map(|body| {
        if body.is_end_stream() {
            progress.change(RECEIVING, RECEIVED);
        }
        Body::from_stream(Watched {
            body: body.into_data_stream(),
            progress: progress.clone(),
        })
    });
    // What the request holds counts until its handler has ended, whoever still waits for it.
    let held = request.extensions().get::<Arc<Held>>().cloned();
    let answer = with_request_id(current_request_id(), next.run(request));
    let task = tokio::spawn(async move {
        let response = answer.await;
        drop(held);
        response
    });
    let _waiting = Waiting {
        task: task.abort_handle(),
        progress,
    };
    match task.await {
        Ok(response) => response,
        // As without a task: the connection ends, and the panic is logged where it happened.
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

const RECEIVING: u8 = 0;
const RECEIVED: u8 = 1;
const CANCELLED: u8 = 2;

/// Whether the body is still being received. It leaves that state once: either the handler has the
/// body, or the caller has gone.
#[derive(Clone, Default)]
struct Progress(Arc<AtomicU8>);

impl Progress {
    /// Returns whether it was in the state `from`.
    fn change(&self, from: u8, to: u8) -> bool {
        let order = Ordering::AcqRel;
        self.0
            .compare_exchange(from, to, order, Ordering::Acquire)
            .is_ok()
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == CANCELLED
    }
}

/// The connection's side: dropped when the response is ready, the caller disconnects, or the
/// time-out passes.
struct Waiting {
    task: AbortHandle,
    progress: Progress,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.progress.change(RECEIVING, CANCELLED) {
            self.task.abort();
        }
    }
}

/// The handler's side.
struct Watched {
    body: BodyDataStream,
    progress: Progress,
}

impl Stream for Watched {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = Pin::new(&mut self.body).poll_next(cx);
        if matches!(part, Poll::Ready(None)) {
            self.progress.change(RECEIVING, RECEIVED);
            if self.progress.is_cancelled() {
                let gone = axum::Error::new(std::io::Error::other("the caller disconnected"));
                return Poll::Ready(Some(Err(gone)));
            }
        }
        part
    }
}

impl Drop for Watched {
    /// A handler that does not read the body drops it before it begins.
    fn drop(&mut self) {
        self.progress.change(RECEIVING, RECEIVED);
    }
}
