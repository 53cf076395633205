//! Parsing a batch: what is accepted becomes log entries, what is rejected goes to the dead letter
//! queue with its reason.

use std::collections::BTreeSet;

use kgrca_core::api::{DeadLetter, RejectedItem};
use kgrca_core::billing::Plan;
use kgrca_core::engine;
use kgrca_core::model::{Body, Kind, Op, Record, Str, Time, Topic};
use kgrca_core::parse::mask::{self, HashKey};
use kgrca_core::parse::{self, Context, Reason, Reject};
use kgrca_core::storage::{Entry, EntryBuilder, StreamId};
use kgrca_core::tenancy::TenantId;

use super::dead_letters::Rejects;
use super::split;
use crate::usecases::budgets::Held;
use crate::usecases::error::Result;
use crate::workers::Admission;

/// How much of a rejected record the dead letter queue keeps.
const MAX_LETTER_BYTES: usize = 4096;
/// Longest reason that is given for one record, in characters: it may quote the record.
const MAX_MESSAGE: usize = 500;
/// In what steps room is taken, in bytes.
const ROOM: usize = 64 << 10;

/// Where the records of a batch come from.
pub struct Source<'a> {
    pub tenant: &'a TenantId,
    pub topic: Topic,
    /// Whether all records have to be changes.
    pub only_changes: bool,
    /// The cluster of records that name none.
    pub cluster: Option<&'a str>,
    /// The only cluster that the sender may send for.
    pub only_cluster: Option<&'a str>,
    pub received_at: Time,
    /// The partition of a cluster.
    pub partition: &'a dyn Fn(&str) -> u32,
    /// The tenant's key.
    pub hash_key: &'a HashKey,
    /// Its plan.
    pub plan: &'a Plan,
    /// What the request holds.
    pub held: Option<&'a Held>,
}

/// A parsed batch.
#[derive(Default)]
pub struct Batch {
    /// Accepted records, as they go into the log.
    pub entries: Vec<Entry>,
    /// How many bytes the log stores for these.
    pub stored: usize,
    /// How many bytes were sent.
    pub sent: usize,
    pub accepted: u64,
    /// As how many events the accepted records count.
    pub events: u64,
    pub rejected: Rejects,
    /// How many of the rejected records only exceed what the plan has room for.
    pub over_quota: u64,
    /// Whether it has anything but deletions.
    pub adds: bool,
    /// The clusters of the accepted records.
    pub clusters: BTreeSet<Str>,
}

impl Batch {
    /// As how many bytes it counts: a few that are sent can become many that are stored.
    pub fn bytes(&self) -> usize {
        self.stored.max(self.sent)
    }
}

impl Source<'_> {
    /// Parses a body.
    ///
    /// # Errors
    /// `invalid_request` when the body as such cannot be read; `rate_limited` and `unavailable`
    /// when what it becomes is too much beside what other requests hold.
    pub fn read(&self, body: &[u8], mut admission: Option<Admission>) -> Result<Batch> {
        let items = split::records(self.topic, body)?;
        let mut batch = Batch {
            entries: Vec::with_capacity(items.len()),
            sent: body.len(),
            ..Batch::default()
        };
        let mut room = body.len();
        let builder = EntryBuilder {
            topic: self.topic,
            cluster: self.cluster,
            only_cluster: self.only_cluster,
            received_at: self.received_at,
            partition: self.partition,
            hash_key: Some(self.hash_key),
        };
        let context = Context {
            received_at: self.received_at,
            cluster: self.cluster,
            client_id: Some(self.tenant.as_str()),
        };
        let (mut records, mut foreign) = (Vec::new(), BTreeSet::new());
        for (index, item) in items.iter().enumerate() {
            records.clear();
            let before = batch.entries.len();
            let added = parse::parse(self.topic, item, &context, &mut records)
                .and_then(|()| self.check_changes(&records))
                .and_then(|()| self.check_clusters(&records))
                .and_then(|()| self.admit(admission.as_mut(), &records))
                .and_then(|()| builder.add(item, &records, &mut batch.entries));
            match added {
                Ok(count) => {
                    batch.accepted += count;
                    batch.events += engine::events_of(self.topic, records.len() as u64);
                    batch.adds |= records.iter().any(adds);
                    for record in &records {
                        if self.is_foreign(&record.cluster) {
                            foreign.insert(record.cluster.clone());
                        } else if !batch.clusters.contains(&record.cluster) {
                            batch.clusters.insert(record.cluster.clone());
                        }
                    }
                    for cluster in std::mem::take(&mut foreign) {
                        self.reject(&mut batch, index, item, &self.foreign(&cluster));
                    }
                }
                Err(reject) => self.reject(&mut batch, index, item, &reject),
            }
            let added = batch.entries[before..].iter().map(Entry::bytes);
            batch.stored += added.sum::<usize>();
            while batch.stored > room {
                room += self.take_room()?;
            }
        }
        Ok(batch)
    }

    /// Takes room for more bytes than were sent.
    fn take_room(&self) -> Result<usize> {
        if let Some(held) = self.held {
            held.grow_body(ROOM)?;
        }
        Ok(ROOM)
    }

    /// Rejects records of new objects beyond the plan's limit.
    fn admit(
        &self,
        admission: Option<&mut Admission>,
        records: &[Record],
    ) -> std::result::Result<(), Reject> {
        let Some(limit) = self.plan.live_objects else {
            return Ok(());
        };
        if admission.is_some_and(|admission| !admission.admits(self.topic, records)) {
            let message = format!(
                "new, and the plan `{}` allows {limit} live objects",
                self.plan.name
            );
            return Err(Reject::new(Reason::Quota, message));
        }
        Ok(())
    }

    fn check_changes(&self, records: &[Record]) -> std::result::Result<(), Reject> {
        let is_change = |record: &Record| matches!(record.body, Body::Change(_));
        if !self.only_changes || records.iter().all(is_change) {
            return Ok(());
        }
        let message = "not a change: it has `\"etype\": \"change\"` and a `message`, \
                       or is the webhook of a tool that is known";
        Err(Reject::new(Reason::UnknownShape, message))
    }

    fn is_foreign(&self, cluster: &str) -> bool {
        self.only_cluster.is_some_and(|own| own != cluster)
    }

    fn foreign(&self, cluster: &str) -> Reject {
        let own = self.only_cluster.unwrap_or_default();
        let message = format!("the key belongs to `{own}`, the record to `{cluster}`");
        Reject::new(Reason::ForeignCluster, message)
    }

    /// Rejects an item that is about another cluster. Of a webhook about several clusters, the
    /// sender's own is kept: it is divided by cluster, as no other item is.
    fn check_clusters(&self, records: &[Record]) -> std::result::Result<(), Reject> {
        let mut foreign = records.iter().filter(|r| self.is_foreign(&r.cluster));
        let Some(first) = foreign.next() else {
            return Ok(());
        };
        let is_divided = self.topic == Topic::Alerts && foreign.count() + 1 < records.len();
        if is_divided {
            return Ok(());
        }
        Err(self.foreign(&first.cluster))
    }

    fn reject(&self, batch: &mut Batch, index: usize, item: &[u8], reject: &Reject) {
        let reason = reject.reason.as_str();
        batch.over_quota += u64::from(reject.reason == Reason::Quota);
        let labels = [("topic", self.topic.as_str()), ("status", reason)];
        metrics::counter!("kg_messages_processed_total", &labels).increment(1);
        // Not all of a message that quotes a large record is masked, but all that is shown.
        let message: String = reject.message.chars().take(4 * MAX_MESSAGE).collect();
        let is_listed = batch.rejected.add(RejectedItem {
            index,
            reason: reason.to_owned(),
            message: shortened(&mask::line(&message)),
        });
        if !is_listed {
            return;
        }
        let letter = DeadLetter {
            retried_at: None,
            id: 0,
            at: self.received_at,
            topic: self.topic.as_str().to_owned(),
            reason: reason.to_owned(),
            message: shortened(&self.letter_message(index, item, reject)),
            record: self.letter_text(item, reject),
        };
        let stream = StreamId {
            topic: Topic::Dlq,
            partition: (self.partition)(self.tenant.as_str()),
        };
        if let Ok(value) = serde_json::to_vec(&letter) {
            batch.rejected.letters.push(Entry {
                stream,
                key: self.tenant.as_str().as_bytes().into(),
                value: value.into(),
                received_at: self.received_at,
            });
        }
    }

    /// What is wrong with a record; for an object, of which no text is kept, also where it was.
    fn letter_message(&self, index: usize, item: &[u8], reject: &Reject) -> String {
        #[derive(serde::Deserialize)]
        struct Object {
            kind: String,
        }
        let message = mask::line(&reject.message).into_owned();
        if self.topic != Topic::Resource {
            return message;
        }
        let kind = serde_json::from_slice::<Object>(item).map(|o| Kind::parse(&o.kind));
        let kind = match &kind {
            Ok(Kind::Other(_)) | Err(_) => "unknown kind",
            Ok(kind) => kind.as_str(),
        };
        format!("{message} (item {index}, {kind}, {} bytes)", item.len())
    }

    /// The beginning of a rejected record, masked; empty when it cannot be masked, because it is
    /// not JSON, or belongs to another tenant; and empty for an object, which may be a Secret of
    /// any form.
    fn letter_text(&self, item: &[u8], reject: &Reject) -> String {
        let is_object = self.topic == Topic::Resource
            || ["data", "stringData", "binaryData"].iter().any(|name| {
                let quoted = format!("\"{name}\"");
                item.windows(quoted.len()).any(|w| w == quoted.as_bytes())
            });
        // All of it is masked before it is cut: a part is not JSON.
        let masked = mask::record(self.topic, item);
        let is_readable = serde_json::from_slice::<serde::de::IgnoredAny>(&masked).is_ok();
        if is_object || !is_readable || reject.reason == Reason::ForeignTenant {
            return String::new();
        }
        let start = &masked[..masked.len().min(MAX_LETTER_BYTES)];
        mask::line(&String::from_utf8_lossy(start)).into_owned()
    }
}

/// Whether a record is more than the end of something.
fn adds(record: &Record) -> bool {
    !matches!(
        record.body,
        Body::State(Op::Delete, _) | Body::Topology(Op::Delete, _) | Body::Sync { .. }
    )
}

fn shortened(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}
