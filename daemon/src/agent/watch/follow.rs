//! One turn of a watcher: a list page by page, or a watch with or without a streamed list.

use std::collections::HashSet;

use futures_util::{AsyncBufRead, AsyncBufReadExt};
use kgrca_core::model::{Time, Topic};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Watcher;
use super::ended::{Ended, error_event};
use super::sent::{ObjectKey, object_key};
use crate::agent::outbox::{OutboxItem, OutgoingRecord};
use crate::agent::trim::{self, Meta};

/// Duration after which the server closes a watch, which is then opened again, in seconds.
const WATCH_SECONDS: u32 = 290;
/// The same for a watch that starts with a list, which may have to wait for room in the spool.
const LIST_SECONDS: u32 = 3600;
/// Objects per page of a list.
const PAGE_SIZE: u32 = 500;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMeta,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

/// An object as it was read.
struct Observed<'a> {
    object: &'a RawValue,
    meta: Meta,
    at: Time,
    /// Whether it comes from a list rather than a change.
    is_listed: bool,
}

impl Watcher {
    /// Lists if necessary, then watches until the server closes the watch. `version` is where to
    /// continue; none if everything has to be listed.
    pub(super) async fn list_and_watch(
        &mut self,
        version: &mut Option<String>,
    ) -> Result<(), Ended> {
        let path = self.kind.path();
        if version.is_none() && !self.streams_lists {
            *version = Some(self.list(&path).await?);
        }
        let url = format!("{path}?watch=true&allowWatchBookmarks=true");
        let url = if let Some(version) = version {
            let timeout = WATCH_SECONDS - rand::random_range(0..60);
            format!("{url}&timeoutSeconds={timeout}&resourceVersion={version}")
        } else {
            let timeout = LIST_SECONDS - rand::random_range(0..600);
            format!(
                "{url}&timeoutSeconds={timeout}&sendInitialEvents=true\
                 &resourceVersionMatch=NotOlderThan"
            )
        };
        let stream = self.client.request_stream(request(&url)?).await?;
        self.follow(stream, version).await
    }

    /// Reads a watch until it ends. Without a version it starts with all objects, up to a bookmark.
    pub(super) async fn follow(
        &mut self,
        stream: impl AsyncBufRead,
        version: &mut Option<String>,
    ) -> Result<(), Ended> {
        let mut stream = std::pin::pin!(stream);
        let began = self.shared.clock.now();
        let mut listed = version.is_none().then(HashSet::new);
        if listed.is_none() {
            self.report_ok();
        }
        let mut line = Vec::new();
        loop {
            // Overwritten, because it may hold a Secret.
            line.fill(0);
            line.clear();
            if listed.is_some() {
                self.outbox.wait_for_room(self.kind.topic).await;
            }
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return match listed {
                    Some(_) => Err(Ended::Failed("the list ended early".into())),
                    None => Ok(()),
                };
            }
            // A partial last line: the connection was closed.
            let Ok(event) = serde_json::from_slice::<Event<'_>>(&line) else {
                continue;
            };
            match event.kind {
                "ADDED" | "MODIFIED" => {
                    let meta = trim::metadata(event.object)?;
                    if let Some(listed) = &mut listed {
                        listed.insert(object_key(&meta.uid));
                        self.upsert_listed(event.object, meta, began).await?;
                    } else {
                        *version = Some(meta.resource_version.clone());
                        self.upsert_changed(event.object, meta).await?;
                    }
                }
                "DELETED" => {
                    let meta = trim::metadata(event.object)?;
                    // An incomplete list has no version from which to continue.
                    if listed.is_none() {
                        *version = Some(meta.resource_version.clone());
                    }
                    self.delete(&meta, version.clone()).await;
                }
                "BOOKMARK" => {
                    let at = trim::metadata(event.object)?.resource_version;
                    if let Some(listed) = listed.take() {
                        self.end_list(&listed, began, &at).await;
                    } else {
                        let position = self.position(at.clone());
                        self.outbox.put(OutboxItem::Position(position)).await;
                    }
                    *version = Some(at);
                    self.report_ok();
                }
                _ => return Err(error_event(event.object)),
            }
        }
    }

    /// Lists all objects page by page. Returns the version of the list.
    async fn list(&mut self, path: &str) -> Result<String, Ended> {
        let began = self.shared.clock.now();
        let mut listed = HashSet::new();
        let mut next = String::new();
        loop {
            let token: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let url = format!("{path}?limit={PAGE_SIZE}&continue={token}");
            let mut text = self.client.request_text(request(&url)?).await?.into_bytes();
            let page: Page<'_> = serde_json::from_slice(&text)?;
            for item in page.items {
                self.outbox.wait_for_room(self.kind.topic).await;
                let meta = trim::metadata(item)?;
                listed.insert(object_key(&meta.uid));
                self.upsert_listed(item, meta, began).await?;
            }
            let version = page.metadata.resource_version;
            next = page.metadata.next;
            // Overwritten, because it may hold Secrets.
            text.fill(0);
            if next.is_empty() {
                self.end_list(&listed, began, &version).await;
                self.report_ok();
                return Ok(version);
            }
        }
    }

    /// Ends a listing: the server takes objects that it did not contain for deleted.
    async fn end_list(&mut self, listed: &HashSet<ObjectKey>, began: Time, version: &str) {
        self.sent.retain(listed);
        let position = self.position(version.to_owned());
        if self.kind.topic != Topic::Resource {
            return self.outbox.put(OutboxItem::Position(position)).await;
        }
        let end = trim::ListEnd {
            version,
            began,
            ended: self.shared.clock.now(),
        };
        let line = trim::sync(self.kind.kind, &self.cluster, &end);
        let record = OutgoingRecord {
            topic: Topic::Resource,
            replaces: None,
            line,
            position: Some(position),
            durable: None,
        };
        self.outbox.put(OutboxItem::Record(record)).await;
    }

    async fn upsert_listed(
        &mut self,
        object: &RawValue,
        meta: Meta,
        began: Time,
    ) -> Result<(), Ended> {
        let observed = Observed {
            object,
            meta,
            at: began,
            is_listed: true,
        };
        self.upsert(observed).await
    }

    async fn upsert_changed(&mut self, object: &RawValue, meta: Meta) -> Result<(), Ended> {
        let observed = Observed {
            object,
            meta,
            at: self.shared.clock.now(),
            is_listed: false,
        };
        self.upsert(observed).await
    }

    async fn upsert(&mut self, observed: Observed<'_>) -> Result<(), Ended> {
        let Observed {
            object,
            meta,
            at,
            is_listed,
        } = observed;
        let (kind, topic) = (self.kind, self.kind.topic);
        let key = object_key(&meta.uid);
        let trimmed = trim::upsert(kind, object, &self.cluster, at)?;
        let skip = self
            .sent
            .reason_to_skip(kind, &meta, trimmed.hash, is_listed);
        // A list has a version only at its end.
        let position = (!is_listed).then(|| self.position(meta.resource_version));
        if let Some(reason) = skip {
            if let Some(position) = position {
                self.outbox.put(OutboxItem::Position(position)).await;
            }
            let skipped = OutboxItem::Skipped {
                topic,
                reason,
                records: 1,
            };
            self.outbox.put(skipped).await;
            return Ok(());
        }
        self.sent.insert(key, trimmed.hash);
        let record = OutgoingRecord {
            topic,
            replaces: (!is_listed).then_some(key),
            line: trimmed.line,
            position,
            durable: None,
        };
        self.outbox.put(OutboxItem::Record(record)).await;
        Ok(())
    }

    async fn delete(&mut self, meta: &Meta, version: Option<String>) {
        let position = version.map(|v| self.position(v));
        self.sent.remove(object_key(&meta.uid));
        // An Event that expires has happened all the same.
        if self.kind.topic != Topic::Resource {
            if let Some(position) = position {
                self.outbox.put(OutboxItem::Position(position)).await;
            }
            return;
        }
        let line = trim::delete(self.kind, meta, &self.cluster, self.shared.clock.now());
        let record = OutgoingRecord {
            topic: Topic::Resource,
            // A queued version is shipped, too: the server ignores the end of an unknown object.
            replaces: None,
            line,
            position,
            durable: None,
        };
        self.outbox.put(OutboxItem::Record(record)).await;
    }
}

fn request(url: &str) -> Result<axum::http::Request<Vec<u8>>, Ended> {
    axum::http::Request::get(url)
        .body(Vec::new())
        .map_err(|e| Ended::Failed(e.to_string()))
}
