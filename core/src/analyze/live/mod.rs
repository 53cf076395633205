//! A cluster that is read from its API while it runs: what was read is evaluated as often as asked
//! for. Whoever reads says what was listed whole, and what could not be read.

mod log_plan;
mod page;
mod urgency;

use super::{Analysis, Options, Rejected};
use crate::engine::{Applied, ClusterState};
use crate::forms::{self, Source};
use crate::model::watched::Watched;
use crate::model::{Body, Kind, Record, RecordCounts, Time};
use crate::parse::{self, Context, Reject};
use crate::rca::{MissingEvidence, Seen};
pub use log_plan::{ContainerLog, LogPlan};
pub use page::{Page, Reader, WatchLine};

/// Maximum number of rejected records that are listed; all are counted.
const MAX_REJECTS: usize = 100;

/// Records that were read together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    rejects: Vec<Reject>,
}

/// A kind that was listed to its end.
#[derive(Debug)]
struct Listing {
    kind: Kind,
    /// `None` for all namespaces.
    namespace: Option<String>,
    began: Time,
}

/// What is known of a cluster by now.
#[derive(Debug)]
pub struct Live {
    state: ClusterState,
    /// Read and not applied yet.
    pending: Vec<Record>,
    listings: Vec<Listing>,
    since: Option<Time>,
    counts: RecordCounts,
    rejects: Vec<Rejected>,
    missing: Vec<MissingEvidence>,
    /// Kinds of which nothing could be read, and why is in `missing`.
    refused: Vec<&'static str>,
    logs: log_plan::Read,
}

impl Live {
    /// A cluster of which nothing was read. Events and log lines before `since` are left out.
    pub fn new(cluster: &str, since: Option<Time>) -> Self {
        Self {
            state: ClusterState::new(cluster),
            pending: Vec::new(),
            listings: Vec::new(),
            since,
            counts: RecordCounts::default(),
            rejects: Vec::new(),
            missing: Vec::new(),
            refused: Vec::new(),
            logs: log_plan::Read::default(),
        }
    }

    /// Adds a page of a listing that began at `began`.
    pub fn add(&mut self, page: Page) {
        self.add_batch(page.batch);
    }

    /// Notes that a kind was listed to its end, in a namespace or in all: objects that the listing
    /// did not contain do not exist there.
    pub fn listed(&mut self, kind: &Watched, namespace: Option<&str>, began: Time) {
        self.listings.push(Listing {
            kind: Kind::parse(kind.kind),
            namespace: namespace.map(str::to_owned),
            began,
        });
    }

    /// Notes what could not be read.
    pub fn lacks(&mut self, missing: MissingEvidence) {
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }

    /// Notes that nothing of a kind could be read.
    pub fn lacks_kind(&mut self, kind: &Watched, missing: MissingEvidence) {
        self.refused.push(kind.kind);
        self.lacks(missing);
    }

    /// Adds a change that a watch reported. Returns whether it may change the answer.
    pub fn change(&mut self, change: WatchLine) -> bool {
        match change {
            WatchLine::Objects(objects) => {
                let is_news = !objects.batch.records.is_empty();
                self.add_batch(objects.batch);
                is_news
            }
            WatchLine::Version(_) | WatchLine::Ended { .. } => false,
        }
    }

    /// Adds the log lines of a container that were read at `at`.
    pub fn log(&mut self, of: &ContainerLog, lines: &[u8], at: Time) {
        self.logs.insert(of);
        let source = Source {
            path: &of.path(),
            bytes: lines,
            taken_at: at,
            namespace: None,
        };
        // Without a line there is nothing to read.
        let Ok(converted) = forms::read(&source) else {
            return;
        };
        let context = Context {
            received_at: at,
            cluster: Some(&self.state.name),
            client_id: None,
        };
        let mut batch = Batch::default();
        for line in converted.json.split(|b| *b == b'\n') {
            if line.is_empty() {
                continue;
            }
            let (out, rejects) = (&mut batch.records, &mut batch.rejects);
            let parsed = parse::parse_any(line, &context, out, rejects);
            batch.rejects.extend(parsed.err());
        }
        self.add_batch(batch);
    }

    /// Notes a container whose log could not be read.
    pub fn log_failed(&mut self, of: &ContainerLog) {
        self.logs.insert(of);
    }

    fn add_batch(&mut self, batch: Batch) {
        let is_old = |record: &Record| {
            let is_episode = matches!(record.body, Body::Event(_) | Body::Log(_));
            is_episode && self.since.is_some_and(|since| record.at < since)
        };
        let before = self.pending.len();
        let new = batch.records.into_iter().filter(|record| !is_old(record));
        self.pending.extend(new);
        self.counts.seen += (self.pending.len() - before + batch.rejects.len()) as u64;
        self.counts.rejected += batch.rejects.len() as u64;
        for reject in batch.rejects {
            if self.rejects.len() < MAX_REJECTS {
                self.rejects.push(Rejected {
                    source: String::new(),
                    line: self.counts.rejected,
                    reason: reject.reason.as_str().to_owned(),
                    message: reject.message,
                });
            }
        }
    }

    /// Applies what was read, in the order of its time.
    fn settle(&mut self) {
        let mut records = std::mem::take(&mut self.pending);
        records.sort_by_key(|record| (record.at, record.body.topic()));
        for record in records {
            match self.state.apply(record) {
                Applied::Applied => self.counts.applied += 1,
                Applied::Duplicate => self.counts.duplicate += 1,
            }
        }
        for listing in std::mem::take(&mut self.listings) {
            let (graph, began) = (&mut self.state.graph, listing.began);
            match &listing.namespace {
                Some(namespace) => graph.sync_in(&listing.kind, namespace, began, began),
                None => graph.sync(&listing.kind, began, began),
            };
        }
    }

    /// The answer at `options.now` to what was read.
    pub fn analyze(&mut self, options: &Options) -> Analysis {
        self.settle();
        let mut analysis = Analysis::empty(&self.state.name, options);
        let mut seen = Seen {
            symptoms: false,
            whole: self.missing.is_empty(),
        };
        let (weights, catalogue) = (&options.weights, &options.catalogue);
        let evaluation = self.state.evaluate(options.now, weights, catalogue);
        analysis.take(&self.state, evaluation, options, &mut seen);
        analysis.records = self.counts.clone();
        analysis.rejects.clone_from(&self.rejects);
        let is_explained = |missing: &MissingEvidence| {
            let mut refused = self.refused.iter();
            refused.any(|kind| missing.what == format!("state of {kind}s"))
        };
        analysis.missing_evidence.retain(|m| !is_explained(m));
        analysis.missing_evidence.extend_from_slice(&self.missing);
        analysis.finish(seen, options);
        analysis
    }
}

#[cfg(test)]
mod tests;
