//! What is seen from outside: a thing worth counting is a struct whose log line and metric stand
//! side by side.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use kgrca_core::detect::DetectorPanic;
use kgrca_core::model::Topic;
use kgrca_core::rca::Scorer;
use kgrca_core::storage::{Error, StreamId};
use kgrca_core::tenancy::TenantId;

/// A batch was committed.
pub struct BatchCommitted<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Records by topic and what became of them.
    pub by_topic: &'a BTreeMap<(Topic, &'static str), u64>,
    /// How long it took.
    pub seconds: f64,
    /// How long the record that waited longest took from its arrival to the commit.
    pub waited: Option<f64>,
}

impl BatchCommitted<'_> {
    /// Logs and counts it.
    pub fn emit(&self) {
        for ((topic, status), n) in self.by_topic {
            metrics::counter!("kg_messages_processed_total", "topic" => topic.as_str(), "status" => *status).increment(*n);
            metrics::histogram!("kg_message_processing_duration_seconds", "topic" => topic.as_str()).record(self.seconds);
            if topic.is_metered() {
                metrics::counter!("kg_client_events_sent_total", "client_id" => self.tenant.to_string()).increment(*n);
            }
        }
        if let Some(waited) = self.waited {
            metrics::histogram!("kg_end_to_end_latency_seconds").record(waited.max(0.0));
        }
        tracing::debug!(client_id = %self.tenant, records = self.by_topic.values().sum::<u64>(), seconds = self.seconds, "batch committed");
    }
}

/// A cluster was looked at.
pub struct Ranked {
    /// How long it took.
    pub seconds: f64,
    /// How many causes were ranked.
    pub causes: usize,
}

impl Ranked {
    /// Counts it.
    pub fn emit(&self) {
        metrics::histogram!("kg_rca_compute_time_seconds").record(self.seconds);
        metrics::counter!("kg_rca_links_created_total").increment(self.causes as u64);
    }
}

/// A detector panicked while a cluster was evaluated; its findings are missing from the answers.
pub struct DetectorPanicked<'a> {
    /// The tenant whose cluster it is.
    pub tenant: &'a TenantId,
    /// The cluster.
    pub cluster: &'a str,
    /// Which detector, on which resource, with which message.
    pub panic: &'a DetectorPanic,
}

impl DetectorPanicked<'_> {
    /// Logs and counts it.
    pub fn emit(&self) {
        let DetectorPanic {
            detector,
            resource,
            message,
        } = self.panic;
        metrics::counter!("kg_detector_panics_total", "detector" => *detector).increment(1);
        tracing::error!(
            client_id = %self.tenant,
            cluster = self.cluster,
            detector,
            resource,
            "detector panicked, its findings are missing: {message}"
        );
    }
}

/// An incident was answered.
pub struct Believed {
    /// By which formula.
    pub scorer: Scorer,
    /// How much its first cause is believed.
    pub confidence: Option<f64>,
}

impl Believed {
    /// Counts it.
    pub fn emit(&self) {
        if let Some(confidence) = self.confidence {
            metrics::histogram!("kg_rca_confidence_score", "score_type" => self.scorer.as_str())
                .record(confidence);
        }
    }
}

/// Records of a stream that wait for their worker.
pub struct Lag<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Of which stream.
    pub stream: StreamId,
    /// How many.
    pub records: u64,
    /// Whether the stream lies in Kafka.
    pub is_kafka: bool,
}

impl Lag<'_> {
    /// Shows it.
    pub fn emit(&self) {
        let (topic, partition) = (
            self.stream.topic.as_str(),
            self.stream.partition.to_string(),
        );
        if self.is_kafka {
            let name = format!("{}.{topic}", self.tenant);
            metrics::gauge!("kg_kafka_consumer_lag", "topic" => name, "partition" => partition.clone()).set(self.records as f64);
        }
        metrics::gauge!("client_kafka_lag", "client_id" => self.tenant.to_string(), "topic" => topic, "partition" => partition)
            .set(self.records as f64);
    }
}

/// How right answers were, by what people said of incidents.
pub struct Accuracy {
    /// The place of the true cause in each answer, from 1; none when it was not named.
    pub places: Vec<Option<u32>>,
}

impl Accuracy {
    /// Shows the shares of all feedback there is; without any nothing is shown.
    pub fn emit(&self) {
        let all = self.places.len() as f64;
        if self.places.is_empty() {
            return;
        }
        for k in [1, 3, 5] {
            let hits = self.places.iter().flatten().filter(|p| **p <= k).count() as f64;
            metrics::gauge!("kg_rca_accuracy_at_k", "k" => k.to_string()).set(hits / all);
        }
        let named: Vec<f64> = self
            .places
            .iter()
            .flatten()
            .map(|p| f64::from(*p))
            .collect();
        if !named.is_empty() {
            metrics::gauge!("kg_rca_mean_average_rank")
                .set(named.iter().sum::<f64>() / named.len() as f64);
        }
    }
}

/// A log ends before what was committed of it: records that were acknowledged are gone.
pub struct LogCut<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Of which stream.
    pub stream: StreamId,
    /// Where the commit stands.
    pub committed: u64,
    /// Where the log ends.
    pub end: u64,
}

impl LogCut<'_> {
    /// Logs and counts it.
    pub fn emit(&self) {
        metrics::counter!("kg_log_records_lost_total").increment(self.committed - self.end);
        tracing::error!(
            client_id = %self.tenant, topic = self.stream.topic.as_str(), partition = self.stream.partition,
            committed = self.committed, end = self.end,
            "the log ends before what was committed of it; it goes on at the committed offset"
        );
    }
}

/// Records that other producers put into a wrong partition were sent on.
pub struct Misplaced<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// How many.
    pub records: usize,
}

impl Misplaced<'_> {
    /// Counts them.
    pub fn emit(&self) {
        metrics::counter!("kg_records_misplaced_total", "client_id" => self.tenant.to_string())
            .increment(self.records as u64);
        tracing::debug!(client_id = %self.tenant, records = self.records, "records were sent on to their partition");
    }
}

/// A server that stores something answered, or did not.
pub struct ServerAnswered {
    /// The name of its gauge.
    pub gauge: &'static str,
    /// Why it did not.
    pub error: Option<Error>,
    /// Whether it did before.
    pub was_up: bool,
}

impl ServerAnswered {
    /// Shows it, and logs when it changed.
    pub fn emit(&self) {
        metrics::gauge!(self.gauge).set(f64::from(u8::from(self.error.is_none())));
        match &self.error {
            Some(error) if self.was_up => {
                tracing::error!(gauge = self.gauge, error = %error, "a server does not answer");
            }
            None if !self.was_up => tracing::info!(gauge = self.gauge, "a server answers again"),
            _ => {}
        }
    }
}

/// The server that counts limits answered, or did not.
pub struct LimitsAnswered {
    /// Why it did not.
    pub error: Option<String>,
}

impl LimitsAnswered {
    /// Shows whether it does, counts when this daemon counts by itself.
    pub fn emit(&self) {
        metrics::gauge!("kg_limits_shared").set(f64::from(u8::from(self.error.is_none())));
        if let Some(error) = &self.error {
            metrics::counter!("kg_limits_fallback_total").increment(1);
            tracing::warn!(error = %error, "limits are counted by this daemon alone");
        }
    }
}

/// A worker gave up on a batch and starts anew.
pub struct WorkerFailed<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Why.
    pub error: &'a Error,
}

impl WorkerFailed<'_> {
    /// Logs and counts it.
    pub fn emit(&self) {
        metrics::counter!("kg_worker_failures_total").increment(1);
        tracing::error!(client_id = %self.tenant, error = %self.error, "worker starts anew from what was committed");
    }
}

/// A snapshot cannot be used: an older one is, or the log.
pub struct SnapshotUnreadable<'a> {
    /// Which.
    pub path: &'a Path,
    /// Why.
    pub error: &'a std::io::Error,
}

impl SnapshotUnreadable<'_> {
    /// Logs it.
    pub fn emit(&self) {
        tracing::warn!(path = %self.path.display(), error = %self.error, "a snapshot is not used");
    }
}

/// The live state of a partition was loaded.
pub struct Restored<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Which partition.
    pub partition: u32,
    /// Whether from a snapshot; otherwise from the state topics and the last hour of the others.
    pub from_snapshot: bool,
    /// How many records were read from the log.
    pub replayed: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Restored<'_> {
    /// Logs and measures it.
    pub fn emit(&self) {
        metrics::histogram!("kg_restore_seconds").record(self.seconds);
        tracing::info!(
            client_id = %self.tenant,
            partition = self.partition,
            from_snapshot = self.from_snapshot,
            replayed = self.replayed,
            seconds = self.seconds,
            "live state is there"
        );
    }
}

/// A tenant's graph had nothing although there is something: it is told what the log still knows.
pub struct GraphRebuilt<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Which partition.
    pub partition: u32,
}

impl GraphRebuilt<'_> {
    /// Logs and counts it.
    pub fn emit(&self) {
        metrics::counter!("kg_graph_rebuilds_total").increment(1);
        tracing::warn!(
            client_id = %self.tenant,
            partition = self.partition,
            "the graph is rebuilt from the log; what lay before its last hour, and what had ended, is missing"
        );
    }
}

/// A request was answered.
pub struct Answered<'a> {
    /// The route's pattern.
    pub route: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// How long it took.
    pub seconds: f64,
    /// Its id.
    pub request_id: &'a str,
}

impl Answered<'_> {
    /// Logs and counts it.
    pub fn emit(&self) {
        metrics::histogram!("kg_http_request_duration_seconds", "route" => self.route.to_owned())
            .record(self.seconds);
        metrics::counter!("kg_http_requests_total", "route" => self.route.to_owned(), "status" => self.status.to_string())
            .increment(1);
        tracing::debug!(
            route = self.route,
            status = self.status,
            seconds = self.seconds,
            request_id = self.request_id,
            "answered"
        );
    }
}

/// The daemon serves.
pub struct Serving {
    /// Where.
    pub api: SocketAddr,
    /// Where metrics are.
    pub metrics: SocketAddr,
}

impl Serving {
    /// Logs it.
    pub fn emit(&self) {
        metrics::gauge!("graph_builder_up").set(1.0);
        tracing::info!(api = %self.api, metrics = %self.metrics, "serving");
    }
}
