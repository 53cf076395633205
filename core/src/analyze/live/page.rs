//! What the API server answers: pages of lists and the lines of a watch.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Batch;
use crate::model::watched::Watched;
use crate::model::{Time, Topic};
use crate::parse::{Context, parse};

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// How many objects it has.
    pub items: usize,
    /// Where the next page continues; empty after the last one.
    pub next: String,
    /// The version of the list, from which a watch continues.
    pub version: String,
    pub(super) batch: Batch,
}

/// A line of a watch.
#[derive(Debug)]
pub enum WatchLine {
    /// An object was created, changed or deleted.
    Objects(Objects),
    /// Nothing changed up to this version.
    Version(String),
    /// The server ended the watch.
    Ended {
        /// The HTTP status: 410 when everything must be listed again.
        code: u16,
        /// Why.
        message: String,
    },
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

/// What an object says about its kind: items of lists do not name it, and an answer with metadata
/// only names another.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// Reads what belongs to one listing or watch.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The kind of the objects.
    pub kind: &'a Watched,
    /// The name of the cluster.
    pub cluster: &'a str,
    /// When the listing began, or the change arrived.
    pub at: Time,
}

impl Reader<'_> {
    /// Reads a page of a list. Objects that cannot be read are counted as rejected.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn page(&self, answer: &[u8]) -> serde_json::Result<Page> {
        let list: List<'_> = serde_json::from_slice(answer)?;
        let items = list.items.unwrap_or_default();
        let mut batch = Batch::default();
        for item in &items {
            self.read(item.get(), false, &mut batch);
        }
        Ok(Page {
            items: items.len(),
            next: list.metadata.next,
            version: list.metadata.resource_version,
            batch,
        })
    }

    /// Reads a line of a watch.
    ///
    /// # Errors
    /// When it is none, such as the torn last line of a connection that was closed.
    pub fn change(&self, line: &[u8]) -> serde_json::Result<WatchLine> {
        let line: Line<'_> = serde_json::from_slice(line)?;
        let object = line.object.get();
        Ok(match line.kind {
            "ERROR" => {
                let Status { code, message } = serde_json::from_str(object)?;
                WatchLine::Ended { code, message }
            }
            "BOOKMARK" => WatchLine::Version(version(object)?),
            kind => {
                let mut batch = Batch::default();
                self.read(object, kind == "DELETED", &mut batch);
                WatchLine::Objects(Objects {
                    version: version(object)?,
                    batch,
                })
            }
        })
    }

    fn read(&self, object: &str, is_deleted: bool, batch: &mut Batch) {
        let is_event = self.kind.topic == Topic::Events;
        // An event that expires has happened all the same.
        if is_deleted && is_event {
            return;
        }
        let context = Context {
            received_at: self.at,
            cluster: Some(self.cluster),
            client_id: None,
        };
        let text = self.record(object, is_deleted);
        let parsed = parse(
            self.kind.topic,
            text.as_bytes(),
            &context,
            &mut batch.records,
        );
        batch.rejects.extend(parsed.err());
    }

    /// The record of an object.
    fn record<'o>(&self, object: &'o str, is_deleted: bool) -> Cow<'o, str> {
        // What is no object is rejected as it stands.
        let Ok(head) = serde_json::from_str::<Head<'_>>(object) else {
            return object.into();
        };
        let start = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",",
            self.kind.kind,
            self.kind.api_version()
        );
        let meta = head.metadata.get();
        match head.kind.as_deref() {
            _ if is_deleted => format!("{start}\"op\":\"DELETE\",\"metadata\":{meta}}}").into(),
            Some(kind) if kind == self.kind.kind => object.into(),
            Some(_) => format!("{start}\"metadata\":{meta}}}").into(),
            None => format!("{start}{}", object.trim_start().trim_start_matches('{')).into(),
        }
    }
}

/// The object of a line of a watch.
#[derive(Debug)]
pub struct Objects {
    /// Its version, from which a watch continues.
    pub version: String,
    pub(super) batch: Batch,
}

fn version(object: &str) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: ListMeta,
    }
    serde_json::from_str::<Object>(object).map(|object| object.metadata.resource_version)
}
