//! Streams of answers end when their caller loses its rights, however slowly it reads.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use kgrca_core::tenancy::Scope;
use tokio::task::AbortHandle;
use tokio_stream::Stream;

use crate::usecases::{Actor, App, authentication};

/// A stream and the task that ends it.
pub struct Guarded<S: Stream> {
    guard: Arc<Guard<S>>,
    watch: AbortHandle,
}

/// What is left of the stream.
struct Guard<S: Stream>(Mutex<State<S>>);

struct State<S: Stream> {
    /// Gone once the caller has lost its rights: its source ends, too.
    stream: Option<S>,
    /// What comes last then.
    last: Option<S::Item>,
    reader: Option<Waker>,
}

impl<S: Stream + Unpin + Send + 'static> Guarded<S>
where
    S::Item: Send,
{
    /// A stream for an actor, as long as it has the scope. Otherwise it ends, with `last` if there
    /// is one.
    pub fn new(
        stream: S,
        last: Option<S::Item>,
        caller: (&Arc<App>, &Actor),
        scope: Scope,
    ) -> Self {
        let (app, actor) = (Arc::clone(caller.0), caller.1.clone());
        Self::until(stream, last, async move {
            authentication::revoked(&app, &actor, scope).await;
        })
    }

    fn until(
        stream: S,
        last: Option<S::Item>,
        revoked: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let guard = Arc::new(Guard(Mutex::new(State {
            stream: Some(stream),
            last,
            reader: None,
        })));
        let watched = Arc::clone(&guard);
        let watch = tokio::spawn(async move {
            revoked.await;
            watched.end();
        });
        Self {
            guard,
            watch: watch.abort_handle(),
        }
    }
}

impl<S: Stream> Guard<S> {
    fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, reader) = (state.stream.take(), state.reader.take());
        drop(state);
        drop(stream);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<S: Stream + Unpin> Stream for Guarded<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let state = self.guard.0.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = &mut state.stream else {
            return Poll::Ready(state.last.take());
        };
        let next = Pin::new(stream).poll_next(cx);
        match &next {
            Poll::Pending => state.reader = Some(cx.waker().clone()),
            // The source has ended.
            Poll::Ready(None) => state.last = None,
            Poll::Ready(Some(_)) => {}
        }
        next
    }
}

impl<S: Stream> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};
    use tokio_stream::StreamExt;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    #[tokio::test]
    async fn a_source_ends_although_nothing_is_read() {
        let (sender, receiver) = mpsc::channel(1);
        let (revoke, revoked) = oneshot::channel::<()>();
        let mut stream = Guarded::until(ReceiverStream::new(receiver), Some(9), async move {
            _ = revoked.await;
        });
        sender.send(1).await.unwrap();
        // The reader takes nothing: this one waits.
        let waiting = tokio::spawn(async move { sender.send(2).await });
        revoke.send(()).unwrap();
        assert!(waiting.await.unwrap().is_err(), "the source has ended");
        assert_eq!(stream.next().await, Some(9));
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_waits_learns_of_the_end() {
        let (_sender, receiver) = mpsc::channel::<u8>(1);
        let (revoke, revoked) = oneshot::channel::<()>();
        let mut stream = Guarded::until(ReceiverStream::new(receiver), None, async move {
            _ = revoked.await;
        });
        let reader = tokio::spawn(async move { stream.next().await });
        tokio::task::yield_now().await;
        revoke.send(()).unwrap();
        assert_eq!(reader.await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_stream_that_ends_by_itself_has_no_last_item_and_no_task() {
        let (sender, receiver) = mpsc::channel(1);
        let (alive, ended) = oneshot::channel::<()>();
        let mut stream = Guarded::until(ReceiverStream::new(receiver), Some(9), async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        sender.send(1).await.unwrap();
        drop(sender);
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(stream.next().await, None);
        drop(stream);
        assert!(ended.await.is_err(), "the task has ended");
    }
}
