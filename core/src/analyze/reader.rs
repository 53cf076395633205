//! Reads the records of an input.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::{Bounds, Options, RecordCounts, Rejected, Stopped};
use crate::model::{Body, Kind, Record, Str, Time};
use crate::parse::{self, Context, Reason};

/// Maximum number of rejected records that are listed; all are counted.
const MAX_REJECTS: usize = 100;
/// The cluster of records that name none, until it is known which clusters the input has: a
/// private-use character, which no cluster has as its name.
const UNNAMED: &str = "\u{e000}";

/// The records of an input.
#[derive(Default)]
pub(super) struct Input {
    /// In the order of the input.
    pub(super) records: Vec<Record>,
    pub(super) counts: RecordCounts,
    pub(super) rejects: Vec<Rejected>,
    /// The instant of the evaluation.
    pub(super) instant: Time,
    /// The cluster that the recording itself names.
    recorded: Option<Str>,
    /// Objects of which a text shows little: they count where nothing else tells more.
    weak: Vec<Record>,
    /// Whether there was a file that could not be read.
    pub(super) lacks_files: bool,
    /// When kubelets last gave signs of life.
    heartbeat: Option<Time>,
    /// The times of records that have none.
    undated: BTreeSet<Time>,
}

/// The head of a recording, which says of what it is.
#[derive(serde::Deserialize)]
struct Head {
    topic: String,
    value: Recorded,
}

#[derive(serde::Deserialize)]
struct Recorded {
    cluster: Str,
    collected_at: Option<Str>,
}

/// Reads JSON lines, or one or more JSON documents that span lines.
pub(super) fn read(bytes: &[u8], options: &Options, bounds: &Bounds<'_>) -> Result<Input, Stopped> {
    let mut input = Input::default();
    input.read("", bytes, options, bounds)?;
    input.finish(options);
    Ok(input)
}

/// The time of records that have none. Files have no time of arrival: only an explicit `--at` shows
/// that a record lies in the future.
fn received_at(options: &Options) -> Time {
    options.at.unwrap_or(options.now)
}

/// When a recording was made, as its head says: the clock of whoever reads it may be behind.
fn collected_at(bytes: &[u8]) -> Option<Time> {
    let first = bytes.split(|b| *b == b'\n').next()?;
    let head = serde_json::from_slice::<Head>(first).ok()?;
    let head = Some(head).filter(|head| head.topic == "case")?;
    Time::parse(&head.value.collected_at?)
}

/// When kubelets gave signs of life: state alone has no other time at which it was read.
fn heartbeats(bytes: &[u8]) -> impl Iterator<Item = Time> + '_ {
    let of = |key: &'static [u8]| {
        memchr::memmem::find_iter(bytes, key).filter_map(move |at| {
            let rest = bytes.get(at + key.len()..)?.trim_ascii_start();
            let text = rest.strip_prefix(b":")?.trim_ascii_start();
            let text = text.strip_prefix(b"\"")?.split(|b| *b == b'"').next()?;
            Time::parse(std::str::from_utf8(text).ok()?)
        })
    };
    of(b"\"lastHeartbeatTime\"").chain(of(b"\"renewTime\""))
}

/// JSON values that span lines, as one or more runs of `kubectl -o json` print them; `None` when
/// the input is lines.
fn documents(bytes: &[u8]) -> Option<Vec<&RawValue>> {
    let first = bytes
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|l| !l.is_empty())
        .unwrap_or_default();
    let spans_lines = matches!(first.first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_err();
    if !spans_lines {
        return None;
    }
    serde_json::Deserializer::from_slice(bytes)
        .into_iter()
        .collect::<Result<_, _>>()
        .ok()
}

impl Input {
    fn check(&self, bounds: &Bounds<'_>) -> Result<(), Stopped> {
        if self.records.len() > bounds.records {
            return Err(Stopped::Records);
        }
        Ok(())
    }

    /// Reads a file of an input.
    pub(super) fn read(
        &mut self,
        source: &str,
        bytes: &[u8],
        options: &Options,
        bounds: &Bounds<'_>,
    ) -> Result<(), Stopped> {
        let recorded = collected_at(bytes).filter(|_| options.at.is_none());
        let received_at = received_at(options).max(recorded.unwrap_or_default());
        self.undated.insert(received_at);
        let before = self.rejects.len();
        if let Some(documents) = documents(bytes) {
            for (i, document) in documents.iter().enumerate() {
                let bytes = document.get().as_bytes();
                self.read_document(i as u64 + 1, bytes, received_at, bounds)?;
            }
        } else {
            for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
                self.read_line(i as u64 + 1, line, received_at);
                self.check(bounds)?;
            }
        }
        for reject in &mut self.rejects[before..] {
            source.clone_into(&mut reject.source);
        }
        let seen = heartbeats(bytes).filter(|at| *at <= received_at).max();
        self.heartbeat = self.heartbeat.max(seen);
        Ok(())
    }

    /// Notes a time at which the cluster was observed.
    pub(super) fn was_alive(&mut self, at: Time) {
        self.heartbeat = self.heartbeat.max(Some(at));
    }

    /// Takes the objects back that were read since, until all else is known.
    pub(super) fn hold_back(&mut self, since: usize) {
        let new = self.records.split_off(since);
        for record in new {
            let is_object = matches!(record.body, Body::State(..));
            let to = if is_object {
                &mut self.weak
            } else {
                &mut self.records
            };
            to.push(record);
        }
    }

    /// Adds the objects that were held back, but those that another record shows.
    fn release(&mut self) {
        let mut known: BTreeMap<(Kind, Str), Vec<Str>> = BTreeMap::new();
        for record in &self.records {
            if let Body::State(_, object) = &record.body {
                let meta = &object.meta;
                let key = (meta.kind.clone(), meta.name.clone());
                known.entry(key).or_default().push(meta.namespace.clone());
            }
        }
        for record in std::mem::take(&mut self.weak) {
            let Body::State(_, object) = &record.body else {
                continue;
            };
            let meta = &object.meta;
            let others = known.get(&(meta.kind.clone(), meta.name.clone()));
            let is_same = |other: &Str| meta.namespace.is_empty() || *other == meta.namespace;
            if others.is_some_and(|others| others.iter().any(is_same)) {
                self.counts.duplicate += 1;
            } else {
                self.records.push(record);
            }
        }
    }

    /// The namespaces that objects, events and log lines name.
    pub(super) fn namespaces(&self) -> BTreeSet<&str> {
        let records = self.records.iter().chain(&self.weak);
        let named = records.filter_map(|record| match &record.body {
            Body::State(_, object) if object.meta.kind == Kind::Namespace => {
                Some(&*object.meta.name)
            }
            Body::State(_, object) => Some(&*object.meta.namespace),
            Body::Event(event) => Some(&*event.subject.namespace),
            Body::Log(line) => Some(&*line.subject.namespace),
            _ => None,
        });
        named.filter(|namespace| !namespace.is_empty()).collect()
    }

    /// Completes what records do not say themselves, once all are known.
    pub(super) fn finish(&mut self, options: &Options) {
        self.release();
        self.assign_clusters();
        self.assign_namespaces();
        let received_at = received_at(options);
        self.undated.insert(received_at);
        self.set_instant(options.at, self.heartbeat, received_at);
    }

    fn read_document(
        &mut self,
        number: u64,
        bytes: &[u8],
        received_at: Time,
        bounds: &Bounds<'_>,
    ) -> Result<(), Stopped> {
        if let Ok(items) = serde_json::from_slice::<Vec<&RawValue>>(bytes) {
            for (i, item) in items.iter().enumerate() {
                self.read_line(i as u64 + 1, item.get().as_bytes(), received_at);
                self.check(bounds)?;
            }
        } else {
            self.read_line(number, bytes, received_at);
        }
        self.check(bounds)
    }

    fn read_line(&mut self, number: u64, line: &[u8], received_at: Time) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let context = Context {
            received_at,
            cluster: Some(UNNAMED),
            client_id: None,
        };
        let before = self.records.len();
        let mut rejects = Vec::new();
        match parse::parse_any(line, &context, &mut self.records, &mut rejects) {
            Ok(None) => {
                let head = serde_json::from_slice::<Head>(line).ok();
                let head = head.filter(|head| head.topic == "case");
                self.recorded = self.recorded.take().or(head.map(|head| head.value.cluster));
            }
            Ok(Some(_)) => self.counts.seen += (self.records.len() - before) as u64,
            Err(reject) => rejects.push(reject),
        }
        for reject in rejects {
            self.reject(number, reject.reason, reject.message);
        }
    }

    fn reject(&mut self, line: u64, reason: Reason, message: String) {
        self.counts.seen += 1;
        self.counts.rejected += 1;
        if self.rejects.len() < MAX_REJECTS {
            self.rejects.push(Rejected {
                source: String::new(),
                line,
                reason: reason.as_str().to_owned(),
                message,
            });
        }
    }

    /// Assigns records that name no cluster to the only one of the input; rejects them when it has
    /// several.
    fn assign_clusters(&mut self) {
        let mut named: Vec<Str> = self
            .records
            .iter()
            .map(|r| r.cluster.clone())
            .filter(|c| &**c != UNNAMED)
            .collect();
        named.sort();
        named.dedup();
        if named.len() <= 1 {
            let only = named.pop().or_else(|| self.recorded.take());
            let only = only.unwrap_or_else(|| "default".into());
            self.records
                .iter_mut()
                .filter(|r| &*r.cluster == UNNAMED)
                .for_each(|r| r.cluster = only.clone());
            return;
        }
        let before = self.records.len();
        self.records.retain(|r| &*r.cluster != UNNAMED);
        for _ in self.records.len()..before {
            self.counts.seen -= 1;
            self.reject(
                0,
                Reason::ClusterMissing,
                "the record names no cluster, and the input has several".into(),
            );
        }
    }

    /// Gives lines and alerts of a pod without a namespace that of the only pod of their name.
    fn assign_namespaces(&mut self) {
        let mut known: BTreeMap<Str, Option<Str>> = BTreeMap::new();
        for pod in self.records.iter().filter_map(|r| namespaced_pod(&r.body)) {
            let (name, namespace) = pod;
            let only = known
                .entry(name.clone())
                .or_insert_with(|| Some(namespace.clone()));
            // More than one: it is not known which.
            *only = only.take().filter(|only| only == namespace);
        }
        for record in &mut self.records {
            let Body::Log(line) = &mut record.body else {
                continue;
            };
            let subject = &mut line.subject;
            if subject.kind == Kind::Pod
                && subject.namespace.is_empty()
                && let Some(Some(namespace)) = known.get(&subject.name)
            {
                subject.namespace = namespace.clone();
            }
        }
    }

    /// Sets the instant of the evaluation, to which records without a time are moved: the time of
    /// the newest record or heartbeat.
    fn set_instant(&mut self, at: Option<Time>, heartbeat: Option<Time>, received_at: Time) {
        let newest = self
            .records
            .iter()
            .map(|r| r.at)
            .filter(|t| !self.undated.contains(t))
            .max();
        self.instant = at.or(newest.max(heartbeat)).unwrap_or(received_at);
        let undated = &self.undated;
        for record in self.records.iter_mut().filter(|r| undated.contains(&r.at)) {
            record.at = self.instant;
        }
    }
}

/// Name and namespace of the pod that a record is about.
fn namespaced_pod(body: &Body) -> Option<(&Str, &Str)> {
    let (kind, namespace, name) = match body {
        Body::State(_, object) => (&object.meta.kind, &object.meta.namespace, &object.meta.name),
        Body::Event(event) => {
            let of = &event.subject;
            (&of.kind, &of.namespace, &of.name)
        }
        _ => return None,
    };
    (*kind == Kind::Pod && !namespace.is_empty()).then_some((name, namespace))
}
