//! Follows a part of the cluster from the version of its list on.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use kgrca_core::analyze::{Reader, WatchLine};
use kube::client::Body;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::{Api, Refusal};
use super::list::{Listed, Part, list};

/// Longest line of a watch.
const MAX_LINE: usize = 4 << 20;
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(30);

/// What a watcher reports.
pub(super) enum Report {
    Changed(WatchLine),
    /// Everything was listed again.
    Listed(Box<Listed>),
    /// The part is no longer watched.
    Refused(Part, Refusal),
}

/// Follows one part of the cluster.
pub(super) struct Watcher {
    pub api: Arc<Api>,
    pub cluster: String,
    pub part: Part,
    /// The version from which it continues.
    pub version: String,
    pub reports: mpsc::Sender<Report>,
}

/// Why following ended.
enum Ended {
    /// The server closed the watch, as it does every few minutes.
    Closed,
    /// The version is too old: everything must be listed again.
    Gone,
    Refused(Refusal),
    /// Whoever reads the reports is gone.
    Over,
}

impl Watcher {
    /// Follows it until it may not, or until whoever reads the reports is gone.
    pub(super) async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        loop {
            let began = Instant::now();
            let ended = match self.watch().await {
                Ended::Gone => self.list_again().await,
                ended => ended,
            };
            match ended {
                Ended::Over => return,
                Ended::Refused(refusal @ Refusal::Status(401 | 403 | 404, _)) => {
                    let report = Report::Refused(self.part.clone(), refusal);
                    // Whoever reads it may be gone.
                    let _ = self.reports.send(report).await;
                    return;
                }
                Ended::Closed if began.elapsed() > MAX_RETRY => retry = FIRST_RETRY,
                Ended::Closed | Ended::Gone | Ended::Refused(_) => {
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(MAX_RETRY);
                }
            }
        }
    }

    async fn list_again(&mut self) -> Ended {
        let began = self.api.now();
        match list(&self.api, &self.cluster, &self.part, began).await {
            Ok(listed) => {
                self.version.clone_from(&listed.version);
                self.report(Report::Listed(Box::new(listed))).await
            }
            Err(refusal) => Ended::Refused(refusal),
        }
    }

    async fn report(&self, report: Report) -> Ended {
        match self.reports.send(report).await {
            Ok(()) => Ended::Closed,
            Err(_) => Ended::Over,
        }
    }

    async fn watch(&mut self) -> Ended {
        let Ok(request) = self.part.watch(&self.version) else {
            return Ended::Gone;
        };
        let mut lines = match self.api.open(&request).await {
            Ok(body) => Lines::of(body),
            Err(Refusal::Status(410, _)) => return Ended::Gone,
            Err(refusal) => return Ended::Refused(refusal),
        };
        while let Some(line) = lines.next().await {
            let reader = Reader {
                kind: self.part.kind,
                cluster: &self.cluster,
                at: self.api.now(),
            };
            // A torn last line: the connection was closed.
            let Ok(change) = reader.change(&line) else {
                continue;
            };
            match &change {
                WatchLine::Ended { code: 410, .. } => return Ended::Gone,
                WatchLine::Ended { code, message } => {
                    return Ended::Refused(Refusal::Status(*code, message.clone()));
                }
                WatchLine::Version(version) => {
                    self.version.clone_from(version);
                    continue;
                }
                WatchLine::Objects(objects) => self.version.clone_from(&objects.version),
            }
            if matches!(self.report(Report::Changed(change)).await, Ended::Over) {
                return Ended::Over;
            }
        }
        Ended::Closed
    }
}

/// The lines of an answer that does not end.
struct Lines {
    body: Body,
    buffer: Vec<u8>,
}

impl Lines {
    fn of(body: Body) -> Self {
        let buffer = Vec::new();
        Self { body, buffer }
    }

    /// The next line; `None` at the end, and when one is too long.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref()?);
            if self.buffer.len() > MAX_LINE {
                return None;
            }
        }
    }
}
