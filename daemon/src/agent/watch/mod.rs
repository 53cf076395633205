//! Looks at one kind: lists it, then follows its changes from the version where the list, or the
//! last run, ended.

mod ended;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{AsyncBufRead, AsyncBufReadExt};
use kgrca_core::model::Topic;
use kgrca_core::model::watched::Watched;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::Clock;
use super::health::Health;
use super::outbox::{Given, Outbox, Store};
use super::trim;
use ended::{Ended, error_in};

/// How long the server lets a watch go on before it is opened anew, in seconds.
const WATCH_SECONDS: u32 = 290;
/// The same for one that begins with a list.
const LIST_SECONDS: u32 = 3600;
/// Objects on a page of a list.
const PAGE: u32 = 500;
/// How often a lease is told of: kubelets renew theirs every 10 s and are missed after 40.
const LEASE_EVERY: Duration = Duration::from_secs(20);
/// Namespaces of leases that say whether nodes and control planes live.
const LEASES_OF: [&str; 2] = ["kube-node-lease", "kube-system"];
/// How long to wait when something may not be read, or is not there.
const DENIED_REST: Duration = Duration::from_secs(30);
/// How many blocks may wait when everything is listed again.
const LITTLE: usize = 2;
const FIRST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(30);

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

/// What was told of an object last: a hash of it, and when.
type Told = (u64, Instant);

/// Looks at one kind.
pub struct Watcher {
    /// The kind.
    pub what: &'static Watched,
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The API server.
    pub client: Client,
    /// Where records go.
    pub outbox: Outbox,
    /// Where it says how it fares.
    pub health: Arc<Health>,
    /// The server's time.
    pub clock: Arc<Clock>,
    /// What was told of each object, by a hash of its uid.
    pub told: HashMap<u64, Told, foldhash::fast::RandomState>,
    /// Whether the server streams lists.
    pub streams: bool,
    /// How often state had been given up when everything was listed last.
    pub lost: u64,
}

impl Watcher {
    fn source(&self) -> String {
        format!("watch/{}/{}", self.what.group, self.what.plural)
    }

    /// Where it is, good as long as no state is given up.
    fn position(&self, version: String) -> (String, String) {
        (self.source(), format!("{} {version}", self.lost))
    }

    /// The version of a position, if no state was given up since.
    fn valid(&self, position: &str) -> Option<String> {
        let (lost, version) = position.split_once(' ')?;
        (lost == self.lost.to_string()).then(|| version.to_owned())
    }

    /// Looks until it is dropped.
    pub async fn run(mut self, store: Arc<Store>) {
        let mut lost = store.lost.subscribe();
        self.lost = *lost.borrow();
        let mut version = store
            .spool()
            .position(&self.source())
            .and_then(|p| self.valid(p));
        let mut rest = FIRST_REST;
        loop {
            let (began, before, topic) = (Instant::now(), self.lost, self.what.topic);
            let (ended, known) = tokio::select! {
                ended = self.look(&mut version) => (ended, before),
                known = given_up(&mut lost, before, &store, topic) => (Err(Ended::Gone), known),
            };
            self.lost = known;
            match ended {
                Ok(()) => rest = FIRST_REST,
                Err(Ended::Gone) => {
                    version = None;
                    // A server that forgets as fast as it is asked is not asked faster.
                    self.pause(&mut rest, began).await;
                }
                Err(Ended::NoStream) if self.streams => self.streams = false,
                Err(Ended::Denied(why)) => {
                    self.health.cannot_watch(self.what.kind, &why);
                    tokio::time::sleep(DENIED_REST).await;
                }
                Err(Ended::NoStream) => {
                    self.failed(
                        "the server does not take the list's parameters",
                        &mut rest,
                        began,
                    )
                    .await;
                }
                Err(Ended::Failed(why)) => self.failed(&why, &mut rest, began).await,
            }
        }
    }

    async fn failed(&self, why: &str, rest: &mut Duration, began: Instant) {
        tracing::warn!(kind = self.what.kind, why, "the watch is opened again");
        self.health.cannot_watch(self.what.kind, why);
        self.pause(rest, began).await;
    }

    /// Waits, each time in a row twice as long.
    async fn pause(&self, rest: &mut Duration, began: Instant) {
        if began.elapsed() > LONGEST_REST {
            *rest = FIRST_REST;
        }
        tokio::time::sleep(rest.mul_f64(rand::random_range(0.5..1.5))).await;
        *rest = (*rest * 2).min(LONGEST_REST);
    }

    async fn look(&mut self, version: &mut Option<String>) -> Result<(), Ended> {
        let path = self.what.path();
        if version.is_none() && !self.streams {
            *version = Some(self.list(&path).await?);
        }
        let common = format!("{path}?watch=true&allowWatchBookmarks=true");
        let url = if let Some(version) = version {
            let timeout = WATCH_SECONDS - rand::random_range(0..60);
            format!("{common}&timeoutSeconds={timeout}&resourceVersion={version}")
        } else {
            // A list may have to wait for room.
            let timeout = LIST_SECONDS - rand::random_range(0..600);
            format!(
                "{common}&timeoutSeconds={timeout}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
            )
        };
        let stream = self.client.request_stream(request(&url)?).await?;
        self.follow(stream, version).await
    }

    /// Follows a watch until the server ends it. Without a version it begins with everything that
    /// is there.
    async fn follow(
        &mut self,
        stream: impl AsyncBufRead,
        version: &mut Option<String>,
    ) -> Result<(), Ended> {
        let mut stream = std::pin::pin!(stream);
        let began = self.clock.now();
        let mut listed = version.is_none().then(std::collections::HashSet::new);
        if listed.is_none() {
            self.health.watches(self.what.kind, self.told.len());
        }
        let mut line = Vec::new();
        loop {
            // What is left of a Secret does not stay for longer than it takes to read the next.
            line.fill(0);
            line.clear();
            if listed.is_some() {
                self.outbox.room(self.what.topic).await;
            }
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return if listed.is_some() {
                    Err(Ended::Failed("the list ended early".into()))
                } else {
                    Ok(())
                };
            }
            // The last line of a connection that was cut.
            let Ok(event) = serde_json::from_slice::<Event<'_>>(&line) else {
                continue;
            };
            match event.kind {
                "ADDED" | "MODIFIED" => {
                    let meta = trim::known(event.object)?;
                    let key = key(&meta.uid);
                    if let Some(listed) = &mut listed {
                        listed.insert(key);
                        self.upsert(event.object, began, None, true).await?;
                    } else {
                        *version = Some(meta.resource_version.clone());
                        self.upsert(
                            event.object,
                            self.clock.now(),
                            Some(meta.resource_version),
                            false,
                        )
                        .await?;
                    }
                }
                "DELETED" => {
                    let meta = trim::known(event.object)?;
                    // Until a list is whole it has no version at which to go on.
                    if listed.is_none() {
                        *version = Some(meta.resource_version.clone());
                    }
                    self.delete(&meta, version.clone()).await;
                }
                "BOOKMARK" => {
                    let at = trim::known(event.object)?.resource_version;
                    if let Some(listed) = listed.take() {
                        self.told.retain(|key, _| listed.contains(key));
                        self.listed(began, &at).await;
                    } else {
                        let (source, position) = self.position(at.clone());
                        self.outbox.give(Given::Position(source, position)).await;
                    }
                    *version = Some(at);
                    self.health.watches(self.what.kind, self.told.len());
                }
                _ => return Err(error_in(event.object)),
            }
        }
    }

    /// Lists everything page by page. Returns the version at which the list was true.
    async fn list(&mut self, path: &str) -> Result<String, Ended> {
        let began = self.clock.now();
        let mut listed = std::collections::HashSet::new();
        let mut next = String::new();
        loop {
            let url = format!("{path}?limit={PAGE}&continue={}", form_urlencoded(&next));
            let mut text = self.client.request_text(request(&url)?).await?.into_bytes();
            let page: Page<'_> = serde_json::from_slice(&text)?;
            for item in page.items {
                self.outbox.room(self.what.topic).await;
                listed.insert(key(&trim::known(item)?.uid));
                self.upsert(item, began, None, true).await?;
            }
            let PageMeta {
                resource_version,
                next: more,
            } = page.metadata;
            next = more;
            // As in a watch: of a Secret nothing stays.
            text.fill(0);
            if next.is_empty() {
                self.told.retain(|key, _| listed.contains(key));
                self.listed(began, &resource_version).await;
                self.health.watches(self.what.kind, self.told.len());
                return Ok(resource_version);
            }
        }
    }

    /// Ends a listing: what it did not name is gone.
    async fn listed(&self, began: kgrca_core::model::Time, version: &str) {
        let position = self.position(version.to_owned());
        if self.what.topic != Topic::Resource {
            return self
                .outbox
                .give(Given::Position(position.0, position.1))
                .await;
        }
        let line = trim::sync(
            self.what.kind,
            &self.cluster,
            version,
            began,
            self.clock.now(),
        );
        let end = Given::Record {
            topic: Topic::Resource,
            replaces: None,
            line,
            position: Some(position),
            durable: None,
        };
        self.outbox.give(end).await;
    }

    async fn upsert(
        &mut self,
        object: &RawValue,
        at: kgrca_core::model::Time,
        version: Option<String>,
        is_listed: bool,
    ) -> Result<(), Ended> {
        let meta = trim::known(object)?;
        let key = key(&meta.uid);
        let position = version.map(|v| self.position(v));
        let trimmed = trim::upsert(
            self.what.kind,
            &self.what.api_version(),
            object,
            &self.cluster,
            at,
        )?;
        let skipped = self.reason_to_skip(key, &meta, trimmed.hash, is_listed);
        if let Some(reason) = skipped {
            if let Some((source, at)) = position {
                self.outbox.give(Given::Position(source, at)).await;
            }
            self.outbox
                .give(Given::Skipped(self.what.topic, reason, 1))
                .await;
            return Ok(());
        }
        self.told.insert(key, (trimmed.hash, Instant::now()));
        let replaces = (!is_listed).then_some(key);
        self.outbox
            .give(Given::Record {
                topic: self.what.topic,
                replaces,
                line: trimmed.line,
                position,
                durable: None,
            })
            .await;
        Ok(())
    }

    /// Why an object's version need not be told.
    fn reason_to_skip(
        &self,
        key: u64,
        meta: &trim::Meta,
        hash: u64,
        is_listed: bool,
    ) -> Option<&'static str> {
        let told = self.told.get(&key);
        if self.what.kind == "Lease" {
            if !LEASES_OF.contains(&meta.namespace.as_str()) {
                return Some("other_lease");
            }
            return told
                .filter(|(_, at)| !is_listed && at.elapsed() < LEASE_EVERY)
                .map(|_| "sampled");
        }
        // A listing names every object, changed or not; what is not named is gone. Events only
        // happen.
        let must_name = is_listed && self.what.topic == Topic::Resource;
        told.filter(|(before, _)| !must_name && *before == hash)
            .map(|_| "unchanged")
    }

    async fn delete(&mut self, meta: &trim::Meta, version: Option<String>) {
        let position = version.map(|v| self.position(v));
        self.told.remove(&key(&meta.uid));
        // An event that is forgotten happened all the same.
        if self.what.topic != Topic::Resource {
            if let Some((source, at)) = position {
                self.outbox.give(Given::Position(source, at)).await;
            }
            return;
        }
        let line = trim::delete(
            self.what.kind,
            &self.what.api_version(),
            meta,
            &self.cluster,
            self.clock.now(),
        );
        // Beside the version that may still wait: whoever hears only of the end of an object never
        // knew it.
        let gone = Given::Record {
            topic: Topic::Resource,
            replaces: None,
            line,
            position,
            durable: None,
        };
        self.outbox.give(gone).await;
    }
}

/// Waits until state was given up since `before`, and little waits: while the server is away,
/// listing again would push out what was listed. Returns how often it was given up.
async fn given_up(
    lost: &mut watch::Receiver<u64>,
    before: u64,
    store: &Store,
    topic: Topic,
) -> u64 {
    if topic != Topic::Resource {
        return std::future::pending().await;
    }
    loop {
        let filled = store.filled.notified();
        let now = *lost.borrow_and_update();
        if now != before && store.spool().blocks_of(Topic::Resource) <= LITTLE {
            return now;
        }
        tokio::select! {
            () = filled => {}
            // It closes with the store, and that lives as long as we.
            _ = lost.changed() => {}
        }
    }
}

fn key(uid: &str) -> u64 {
    foldhash::fast::FixedState::default().hash_one(uid)
}

fn request(url: &str) -> Result<axum::http::Request<Vec<u8>>, Ended> {
    axum::http::Request::get(url)
        .body(Vec::new())
        .map_err(|e| Ended::Failed(e.to_string()))
}

fn form_urlencoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::watched::WATCHED;

    use super::*;
    use crate::agent::outbox;
    use crate::agent::spool::Spool;

    fn line(kind: &str, name: &str, version: u32, annotations: &str) -> String {
        format!(
            r#"{{"type":"{kind}","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"shop","uid":"u-{name}","resourceVersion":"{version}"{annotations}}}}}}}"#
        ) + "\n"
    }

    /// Follows what a server says. Returns how that ended, where to go on, and the records that
    /// were given.
    async fn followed(
        said: String,
        from: Option<&str>,
    ) -> (Result<(), Ended>, Option<String>, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Spool::open(folder.path(), 1 << 20, "x").unwrap());
        let (outbox, gathering) = outbox::open(Arc::clone(&store), Arc::default());
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let mut watcher = Watcher {
            what: WATCHED.iter().find(|w| w.kind == "Pod").unwrap(),
            cluster: "prod".into(),
            client: Client::try_from(nowhere).unwrap(),
            outbox,
            health: Arc::default(),
            clock: Arc::default(),
            told: HashMap::default(),
            streams: true,
            lost: 0,
        };
        let mut version = from.map(str::to_owned);
        let ended = watcher.follow(said.as_bytes(), &mut version).await;
        drop(watcher);
        gathering.await.unwrap();
        let block = store.spool().next(Topic::Resource);
        let body = block.map(|b| zstd::decode_all(&store.spool().body(&b).unwrap()[..]).unwrap());
        (
            ended,
            version,
            String::from_utf8(body.unwrap_or_default()).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_list_that_is_not_whole_leaves_no_place_to_go_on_from() {
        let all =
            line("ADDED", "a", 5, "") + &line("DELETED", "b", 9, "") + &line("ADDED", "c", 7, "");
        let (ended, version, told) = followed(all.clone(), None).await;
        assert!(matches!(ended, Err(Ended::Failed(_))), "{ended:?}");
        assert_eq!(
            (version, told.lines().count(), told.contains("SYNC")),
            (None, 3, false),
            "{told}"
        );
        let end = line(
            "BOOKMARK",
            "",
            12,
            r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
        );
        let (ended, version, told) = followed(all + &end, None).await;
        assert!(ended.is_ok());
        assert_eq!(
            (
                version.as_deref(),
                told.lines().count(),
                told.contains("SYNC")
            ),
            (Some("12"), 4, true),
            "{told}"
        );
    }

    #[tokio::test]
    async fn a_watch_goes_on_behind_what_it_saw_last() {
        let said = line("MODIFIED", "a", 20, "")
            + &line("DELETED", "b", 22, "")
            + "{\"type\":\"ADDED\",\"obj";
        let (ended, version, told) = followed(said, Some("12")).await;
        assert!(ended.is_ok(), "a line that was cut is asked for again");
        assert_eq!(
            (version.as_deref(), told.lines().count()),
            (Some("22"), 2),
            "{told}"
        );
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#
            .to_owned()
            + "\n";
        assert!(matches!(
            followed(gone, Some("12")).await.0,
            Err(Ended::Gone)
        ));
    }
}
