//! What becomes of a message: a record, or a part of the number of those that nobody reads.

use kgrca_core::model::Severity;
use kgrca_core::parse::{mask, severity_of_line};
use serde::Serialize;

use super::cri::Stream;
use super::join::Message;
use super::place::Container;
use super::{BelowWarning, mail};

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

/// Lines below WARNING, as a number: the engine counts them and reads none.
#[derive(Debug, Default)]
struct Fold {
    count: u64,
    first: String,
    last: String,
    sample: String,
    to: u64,
}

/// Records of a file, and how many lines became none.
#[derive(Debug, Default)]
pub struct Written {
    /// Lines of JSON.
    pub text: Vec<u8>,
    /// How many.
    pub records: u64,
    /// Lines that went nowhere.
    pub skipped: u64,
    /// Lines that are a part of a number in one of the records.
    pub folded: u64,
}

/// Writes messages of one file as records.
pub struct Writer<'a> {
    cluster: &'a str,
    container: &'a Container,
    fingerprint: &'a str,
    folds: [Fold; 2],
    written: Written,
}

impl<'a> Writer<'a> {
    /// A writer of the records of a container's file.
    pub fn new(cluster: &'a str, container: &'a Container, fingerprint: &'a str) -> Self {
        Self {
            cluster,
            container,
            fingerprint,
            folds: <[Fold; 2]>::default(),
            written: Written::default(),
        }
    }

    /// Writes a message of a stream, or adds it to the number of those below WARNING.
    pub fn message(&mut self, message: &Message, stream: Stream, below: BelowWarning) {
        let severity = severity_of_line(&message.text);
        if severity >= Severity::Warning || below == BelowWarning::All {
            let first = (message.first != message.last).then_some(message.first.as_str());
            return self.record(
                (&message.last, first),
                None,
                severity,
                &message.text,
                (stream.name(), message.to),
            );
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

    /// Ends with the numbers of lines below WARNING, of each stream by itself: in their places in
    /// the file they would not rise.
    pub fn end(mut self) -> Written {
        for (fold, stream) in std::mem::take(&mut self.folds)
            .into_iter()
            .zip(["out-below", "err-below"])
        {
            if fold.count > 0 {
                let times = (fold.last.as_str(), Some(fold.first.as_str()));
                self.record(
                    times,
                    Some(fold.count),
                    Severity::Info,
                    &fold.sample,
                    (stream, fold.to),
                );
            }
        }
        self.written
    }

    fn record(
        &mut self,
        (time, first): (&str, Option<&str>),
        count: Option<u64>,
        severity: Severity,
        text: &str,
        (stream, seq): (&str, u64),
    ) {
        let masked = mask::line(text);
        let masked = mail::mask(&masked);
        let record = Record {
            event_time: time,
            first_time: first,
            count,
            cluster: self.cluster,
            etype: "k8s.log",
            severity: severity.as_str(),
            message: &masked,
            pod_uid: self.container.pod_uid(),
            pod_namespace: &self.container.namespace,
            pod_name: &self.container.pod,
            container: &self.container.name,
            src: &format!("{}/{stream}", self.fingerprint),
            seq,
        };
        // Writing plain texts and numbers to memory cannot fail.
        if serde_json::to_writer(&mut self.written.text, &record).is_ok() {
            self.written.text.push(b'\n');
            self.written.records += 1;
        }
    }
}
