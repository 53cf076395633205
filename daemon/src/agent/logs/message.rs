//! What becomes of a message: a record, or a part of the number of those that nobody reads.

use kgrca_core::model::Severity;
use kgrca_core::parse::{mask, severity_of_line};
use serde::Serialize;

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
    pod_uid: &'a str,
    pod_namespace: &'a str,
    pod_name: &'a str,
    container: &'a str,
    src: &'a str,
    seq: u64,
}

/// Lines below WARNING, as a number: the engine counts them and reads none.
#[derive(Debug, Default)]
pub struct Fold {
    count: u64,
    first: String,
    last: String,
    sample: String,
    to: u64,
}

/// Writes messages of one file as records.
pub struct Writer<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// Whose log it is.
    pub container: &'a Container,
    /// Which file it is.
    pub fingerprint: &'a str,
    /// Lines of JSON.
    pub text: Vec<u8>,
    /// How many.
    pub records: u64,
    /// Lines that went nowhere, by reason.
    pub skipped: u64,
    /// Lines that are a part of a number.
    pub folded: u64,
}

impl Writer<'_> {
    /// Writes a message of a stream, or adds it to the number of those below WARNING. Returns whether it was one of those.
    pub fn message(&mut self, message: &Message, stream: &str, below: BelowWarning, fold: &mut Fold) -> bool {
        let severity = severity_of_line(&message.text);
        if severity >= Severity::Warning || below == BelowWarning::All {
            let first = (message.first != message.last).then_some(message.first.as_str());
            self.record(&message.last, first, None, severity, &message.text, stream, message.to);
            return severity < Severity::Warning;
        }
        if below == BelowWarning::None {
            self.skipped += 1;
            return true;
        }
        if fold.count == 0 {
            fold.first.clone_from(&message.first);
            fold.sample.clone_from(&message.text);
        } else {
            self.folded += 1;
        }
        fold.count += 1;
        fold.last.clone_from(&message.last);
        fold.to = message.to;
        true
    }

    /// Writes the number of lines below WARNING.
    pub fn fold(&mut self, fold: &mut Fold) {
        if fold.count > 0 {
            let all = std::mem::take(fold);
            self.record(&all.last, Some(&all.first), Some(all.count), Severity::Info, &all.sample, "below", all.to);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the record")]
    fn record(
        &mut self,
        time: &str,
        first: Option<&str>,
        count: Option<u64>,
        severity: Severity,
        text: &str,
        stream: &str,
        seq: u64,
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
            pod_uid: &self.container.uid,
            pod_namespace: &self.container.namespace,
            pod_name: &self.container.pod,
            container: &self.container.name,
            src: &format!("{}/{stream}", self.fingerprint),
            seq,
        };
        // Writing plain texts and numbers to memory cannot fail.
        if serde_json::to_writer(&mut self.text, &record).is_ok() {
            self.text.push(b'\n');
            self.records += 1;
        }
    }
}
