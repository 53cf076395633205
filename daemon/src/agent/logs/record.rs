//! Turns messages into records. Messages below WARNING are counted in one record per turn, because
//! the engine only counts them.

use kgrca_core::model::Severity;
use kgrca_core::parse::{mask, severity_of_line};
use serde::Serialize;

use super::BelowWarning;
use super::container::Container;
use super::cri::Stream;
use super::multiline::Message;

/// A record of `logs.normalized`.
#[derive(Serialize)]
struct Record<'a> {
    event_time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    cluster: &'a str,
    etype: &'static str,
    severity: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_uid: Option<&'a str>,
    pod_namespace: &'a str,
    pod_name: &'a str,
    container: &'a str,
    src: &'a str,
    seq: u64,
}

/// What differs from record to record of a file.
struct Entry<'a> {
    time: &'a str,
    first_time: Option<&'a str>,
    count: Option<u64>,
    severity: Severity,
    text: &'a str,
    /// Name of the stream within the file.
    stream: &'a str,
    /// Offset after the message; rises within a stream.
    seq: u64,
}

/// Messages below WARNING of one stream, as a count.
#[derive(Debug, Default)]
struct Fold {
    count: u64,
    first: String,
    last: String,
    sample: String,
    to: u64,
}

/// Records of one turn of reading a file.
#[derive(Debug, Default)]
pub struct Written {
    /// JSON objects, each followed by a line break.
    pub text: Vec<u8>,
    /// Number of records.
    pub records: u64,
    /// Messages that were dropped.
    pub skipped: u64,
    /// Messages that are counted in the record of another one.
    pub folded: u64,
}

/// Writes the messages of one file as records.
pub struct RecordWriter<'a> {
    cluster: &'a str,
    container: &'a Container,
    fingerprint: &'a str,
    folds: [Fold; 2],
    written: Written,
}

impl<'a> RecordWriter<'a> {
    /// A writer for a container's file.
    pub fn new(cluster: &'a str, container: &'a Container, fingerprint: &'a str) -> Self {
        Self {
            cluster,
            container,
            fingerprint,
            folds: <[Fold; 2]>::default(),
            written: Written::default(),
        }
    }

    /// Writes a message, or folds or drops it as `below` says.
    pub fn message(&mut self, message: &Message, stream: Stream, below: BelowWarning) {
        let severity = severity_of_line(&message.text);
        if severity >= Severity::Warning || below == BelowWarning::All {
            return self.write(&Entry {
                time: &message.last,
                first_time: (message.first != message.last).then_some(&message.first),
                count: None,
                severity,
                text: &message.text,
                stream: stream.name(),
                seq: message.to,
            });
        }
        if below == BelowWarning::None {
            self.written.skipped += 1;
            return;
        }
        let fold = &mut self.folds[stream as usize];
        if fold.count == 0 {
            fold.first.clone_from(&message.first);
            fold.sample.clone_from(&message.text);
        } else {
            self.written.folded += 1;
        }
        fold.count += 1;
        fold.last.clone_from(&message.last);
        fold.to = message.to;
    }

    /// Writes the counts of folded messages. They form streams of their own: among the other
    /// messages of the file their numbers would not rise.
    pub fn finish(mut self) -> Written {
        let folds = std::mem::take(&mut self.folds);
        for (fold, stream) in folds.iter().zip(["out-below", "err-below"]) {
            if fold.count > 0 {
                self.write(&Entry {
                    time: &fold.last,
                    first_time: Some(&fold.first),
                    count: Some(fold.count),
                    severity: Severity::Info,
                    text: &fold.sample,
                    stream,
                    seq: fold.to,
                });
            }
        }
        self.written
    }

    fn write(&mut self, entry: &Entry<'_>) {
        let masked = mask::line(entry.text);
        let record = Record {
            event_time: entry.time,
            first_time: entry.first_time,
            count: entry.count,
            cluster: self.cluster,
            etype: "k8s.log",
            severity: entry.severity.as_str(),
            message: &masked,
            pod_uid: self.container.pod_uid(),
            pod_namespace: &self.container.namespace,
            pod_name: &self.container.pod,
            container: &self.container.name,
            src: &format!("{}/{}", self.fingerprint, entry.stream),
            seq: entry.seq,
        };
        // Serializing strings and numbers into memory cannot fail.
        if serde_json::to_writer(&mut self.written.text, &record).is_ok() {
            self.written.text.push(b'\n');
            self.written.records += 1;
        }
    }
}
