//! Events about records and their logs.

use std::collections::BTreeMap;

use kgrca_core::model::Topic;
use kgrca_core::parse::Reason;
use kgrca_core::storage::{Error, SetAside, StreamId};
use kgrca_core::tenancy::TenantId;

/// A worker committed a batch of records.
pub struct BatchCommitted<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// Numbers of records by topic and outcome.
    pub by_topic: &'a BTreeMap<(Topic, &'static str), u64>,
    /// Duration in seconds.
    pub seconds: f64,
    /// Seconds from arrival to commit of the oldest record in the batch.
    pub waited: Option<f64>,
}

impl BatchCommitted<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        for ((topic, status), n) in self.by_topic {
            metrics::counter!(
                "kg_messages_processed_total",
                "topic" => topic.as_str(),
                "status" => *status,
            )
            .increment(*n);
            metrics::histogram!(
                "kg_message_processing_duration_seconds",
                "topic" => topic.as_str(),
            )
            .record(self.seconds);
            if topic.signal().is_metered {
                metrics::counter!(
                    "kg_client_events_sent_total",
                    "client_id" => self.tenant.to_string(),
                )
                .increment(*n);
            }
        }
        if let Some(waited) = self.waited {
            metrics::histogram!("kg_end_to_end_latency_seconds").record(waited.max(0.0));
        }
        tracing::debug!(
            client_id = %self.tenant,
            records = self.by_topic.values().sum::<u64>(),
            seconds = self.seconds,
            "batch committed"
        );
    }
}

/// Records of a stream that no worker has processed yet.
pub struct Lag<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// Topic and partition.
    pub stream: StreamId,
    /// Number of unprocessed records.
    pub records: u64,
    /// Whether the log is Kafka.
    pub is_kafka: bool,
}

impl Lag<'_> {
    /// Updates the metrics.
    pub fn emit(&self) {
        let (topic, partition) = (
            self.stream.topic.as_str(),
            self.stream.partition.to_string(),
        );
        if self.is_kafka {
            let name = format!("{}.{topic}", self.tenant);
            metrics::gauge!(
                "kg_kafka_consumer_lag",
                "topic" => name,
                "partition" => partition.clone(),
            )
            .set(self.records as f64);
        }
        metrics::gauge!(
            "client_kafka_lag",
            "client_id" => self.tenant.to_string(),
            "topic" => topic,
            "partition" => partition,
        )
        .set(self.records as f64);
    }
}

/// Records that a producer had put into the wrong partition were forwarded to the right one.
pub struct Misplaced<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// Number of forwarded records.
    pub records: usize,
}

impl Misplaced<'_> {
    /// Updates the metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_records_misplaced_total", "client_id" => self.tenant.to_string())
            .increment(self.records as u64);
        tracing::debug!(
            client_id = %self.tenant,
            records = self.records,
            "forwarded records to their partition"
        );
    }
}

/// A log ends before the committed offset: acknowledged records are gone.
pub struct LogCut<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// Topic and partition.
    pub stream: StreamId,
    /// Offset of the last commit.
    pub committed: u64,
    /// End offset of the log.
    pub end: u64,
}

impl LogCut<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_log_records_lost_total").increment(self.committed - self.end);
        tracing::error!(
            client_id = %self.tenant,
            topic = self.stream.topic.as_str(),
            partition = self.stream.partition,
            committed = self.committed,
            end = self.end,
            "the log ends before the committed offset; records were lost, processing continues \
             from the committed offset"
        );
    }
}

/// A worker came upon a gap that damage to the log left.
pub struct RecordsLost<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// The topic.
    pub topic: Topic,
    /// The partition number.
    pub partition: u32,
    /// Number of lost records.
    pub records: u64,
}

impl RecordsLost<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_log_records_lost_total").increment(self.records);
        tracing::error!(
            client_id = %self.tenant,
            topic = self.topic.as_str(),
            partition = self.partition,
            records = self.records,
            "records were lost to damage in the log; processing continues behind them"
        );
    }
}

/// A store refused the changes that a record makes; the record is skipped.
pub struct RecordRefused<'a> {
    /// The tenant whose record it is.
    pub tenant: &'a TenantId,
    /// Topic and partition.
    pub stream: StreamId,
    /// Its offset.
    pub offset: u64,
    /// What the store said.
    pub error: &'a Error,
}

impl RecordRefused<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        let labels = [
            ("topic", self.stream.topic.as_str()),
            ("status", Reason::Refused.as_str()),
        ];
        metrics::counter!("kg_messages_processed_total", &labels).increment(1);
        tracing::error!(
            client_id = %self.tenant,
            topic = self.stream.topic.as_str(),
            partition = self.stream.partition,
            offset = self.offset,
            error = %self.error,
            "a record was skipped: a store refuses its changes"
        );
    }
}

/// A store refused the result of evaluating a cluster; its stored incidents stay as they are until
/// a later result is accepted.
pub struct EvaluationRefused<'a> {
    /// The tenant whose cluster it is.
    pub tenant: &'a TenantId,
    /// Its name.
    pub cluster: &'a str,
    /// What the store said.
    pub error: &'a Error,
}

impl EvaluationRefused<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_evaluations_refused_total").increment(1);
        tracing::error!(
            client_id = %self.tenant,
            cluster = self.cluster,
            error = %self.error,
            "cannot update the incidents of a cluster: a store refuses them; retrying in 5 minutes"
        );
    }
}

/// A store refused changes of a cluster that no record of the batch made. The graph lacks these
/// rows until their resources change again.
pub struct ChangesRefused<'a> {
    /// The tenant whose cluster it is.
    pub tenant: &'a TenantId,
    /// Its name.
    pub cluster: &'a str,
    /// How many rows of the graph were left out.
    pub rows: usize,
    /// What the store said.
    pub error: &'a Error,
}

impl ChangesRefused<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_graph_rows_refused_total").increment(self.rows as u64);
        tracing::error!(
            client_id = %self.tenant,
            cluster = self.cluster,
            rows = self.rows,
            error = %self.error,
            "a store refuses changes of a cluster; continuing without them"
        );
    }
}

/// Unreadable parts of a tenant's log were set aside.
pub struct LogSetAside<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// All parts that were set aside and not removed since.
    pub parts: &'a [SetAside],
}

impl LogSetAside<'_> {
    /// Updates the metrics.
    pub fn emit(&self) {
        metrics::gauge!("kg_log_damaged_files", "client_id" => self.tenant.to_string())
            .set(self.parts.len() as f64);
    }

    /// Logs one of the parts.
    pub fn log(&self, part: &SetAside) {
        tracing::error!(
            client_id = %self.tenant,
            topic = part.stream.topic.as_str(),
            partition = part.stream.partition,
            file = part.file,
            bytes = part.bytes,
            records = part.records,
            "part of the log is damaged and was set aside; intact records around it are kept"
        );
    }
}
