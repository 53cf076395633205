//! Log entries from accepted records: which stream they go to, under which key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Entry, Error, StreamId};
use crate::model::{Body, Kind, Op, Record, Time, Topic};
use crate::parse::mask::{self, HashKey};
use crate::parse::{self, Reason, Reject};
use crate::tenancy::TenantId;

/// The partition of a cluster: CRC32 of `client_id/cluster`.
pub fn partition_of(tenant: &TenantId, cluster: &str, partitions: u32) -> u32 {
    crc32fast::hash(format!("{tenant}/{cluster}").as_bytes()) % partitions.max(1)
}

/// Builds the entries of records that arrived together on one topic.
pub struct EntryBuilder<'a> {
    /// The topic of all records.
    pub topic: Topic,
    /// The cluster of records that do not name one.
    pub cluster: Option<&'a str>,
    /// The only cluster of which a webhook about several is kept.
    pub only_cluster: Option<&'a str>,
    /// Time of arrival.
    pub received_at: Time,
    /// The partition of a cluster.
    pub partition: &'a dyn Fn(&str) -> u32,
    /// Replaces values that nothing reads.
    pub hash_key: Option<&'a HashKey>,
}

impl EntryBuilder<'_> {
    /// Adds the entries for an item that was parsed into `records`, with secrets masked. Returns
    /// how many of them are records; a tombstone is not one.
    ///
    /// # Errors
    /// When the log could not read such an entry back; `out` is then unchanged.
    pub fn add(
        &self,
        item: &[u8],
        records: &[Record],
        out: &mut Vec<Entry>,
    ) -> Result<u64, Reject> {
        if self.topic.signal().is_compacted() && records.len() > 1 {
            // The newest entry of a key replaces all others: it must not hold other objects.
            let message = format!("{} objects in one record", records.len());
            return Err(Reject::new(Reason::UnknownShape, message));
        }
        let before = out.len();
        let count = self.add_unchecked(item, records, out);
        if let Err(reject) = out[before..].iter().try_for_each(readable) {
            out.truncate(before);
            return Err(reject);
        }
        Ok(count)
    }

    fn add_unchecked(&self, item: &[u8], records: &[Record], out: &mut Vec<Entry>) -> u64 {
        let Some(first) = records.first() else {
            return 1;
        };
        let shorter = parse::encode_ending(first).or_else(|| parse::encode_change(first));
        let item = shorter.as_deref().unwrap_or(item);
        let masked = match self.hash_key {
            Some(key) => mask::hashed_record(self.topic, item, key),
            None => mask::record(self.topic, item),
        };
        if self.topic == Topic::Alerts && records.iter().any(|r| r.cluster != first.cluster) {
            return self.add_by_cluster(&masked, records, out);
        }
        let named = with_cluster(self.topic, &masked, self.cluster);
        out.push(self.entry(&first.cluster, key(first), named.into_boxed_slice()));
        if matches!(
            first.body,
            Body::State(Op::Delete, _) | Body::Topology(Op::Delete, _)
        ) {
            out.push(self.entry(&first.cluster, key(first), Box::default()));
        }
        1
    }

    fn entry(&self, cluster: &str, key: Box<[u8]>, value: Box<[u8]>) -> Entry {
        let stream = StreamId {
            topic: self.topic,
            partition: (self.partition)(cluster),
        };
        Entry {
            stream,
            key,
            value,
            received_at: self.received_at,
        }
    }

    /// Splits a webhook about several clusters, which may belong to different partitions. Each part
    /// has its own alerts only: the rest of the webhook would be stored once per cluster.
    fn add_by_cluster(&self, item: &[u8], records: &[Record], out: &mut Vec<Entry>) -> u64 {
        let Ok(mut webhook) = serde_json::from_slice::<Value>(item) else {
            return 0;
        };
        let alerts = webhook.get_mut("alerts").and_then(Value::as_array_mut);
        let alerts = alerts.map(std::mem::take).unwrap_or_default();
        let mut parts: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        // There is one record per alert, in the same order.
        for (record, alert) in records.iter().zip(alerts) {
            if self.only_cluster.unwrap_or(&record.cluster) == &*record.cluster {
                parts.entry(&*record.cluster).or_default().push(alert);
            }
        }
        let count = parts.len() as u64;
        for (cluster, alerts) in parts {
            let part = json!({"cluster": cluster, "alerts": alerts});
            let part = part.to_string().into_bytes();
            out.push(self.entry(cluster, cluster.as_bytes().into(), part.into()));
        }
        count
    }
}

/// Where the key is the object's id, a cluster that only the sender knew is added to the record.
fn with_cluster(topic: Topic, item: &[u8], cluster: Option<&str>) -> Vec<u8> {
    let Some(cluster) = cluster.filter(|_| topic.signal().is_compacted()) else {
        return item.to_vec();
    };
    match serde_json::from_slice::<Value>(item) {
        Ok(Value::Object(mut map)) if !map.contains_key("cluster") => {
            map.insert("cluster".into(), cluster.into());
            serde_json::to_vec(&map).unwrap_or_else(|_| item.to_vec())
        }
        _ => item.to_vec(),
    }
}

/// The object's id on compacted topics, the cluster elsewhere.
fn key(record: &Record) -> Box<[u8]> {
    match &record.body {
        Body::State(_, object) => {
            let meta = &object.meta;
            // By name: a rebuild needs only the newest object of that name, and a DELETE may lack
            // the uid.
            let named = format!("{}/{}/{}", meta.kind, meta.namespace, meta.name);
            let id = if meta.name.is_empty() {
                meta.uid.as_deref().map(str::to_owned).unwrap_or(named)
            } else {
                named
            };
            format!("{}/{id}", record.cluster).into_bytes().into()
        }
        Body::Topology(_, edge) => format!("{}/{}", record.cluster, edge.id)
            .into_bytes()
            .into(),
        Body::Sync { kind, since } => sync_key(record, kind, *since).into_bytes().into(),
        _ => record.cluster.as_bytes().into(),
    }
}

/// Of a kind the last end of a listing of each day is kept, where it says when the listing began.
/// Otherwise it counts from the one before, which has to be kept, too.
fn sync_key(record: &Record, kind: &Kind, since: Option<Time>) -> String {
    let cluster = &record.cluster;
    match since {
        Some(_) => format!("{cluster}/sync/{kind}/{}", record.at.day()),
        None => format!("{cluster}/sync/{kind}/{}", record.at.0),
    }
}

/// Whether a worker can read an entry: masking and adding the cluster rewrite a record, and what
/// serde expands may then be nested deeper than what was sent.
fn readable(entry: &Entry) -> Result<(), Reject> {
    let too_large = |e: Error| Reject::new(Reason::TooLarge, e.message);
    entry.check().map_err(too_large)?;
    parse::checked(&entry.value).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::parse::{Context, parse};

    fn entries(topic: Topic, cluster: Option<&str>, item: &str) -> (u64, Vec<Entry>) {
        let context = Context {
            received_at: Time(1_767_261_600_000_000),
            cluster,
            client_id: None,
        };
        let (mut records, mut out) = (Vec::new(), Vec::new());
        parse(topic, item.as_bytes(), &context, &mut records).unwrap();
        let partition = |cluster: &str| cluster.len() as u32;
        let builder = EntryBuilder {
            topic,
            cluster,
            only_cluster: None,
            received_at: context.received_at,
            partition: &partition,
            hash_key: None,
        };
        (
            builder.add(item.as_bytes(), &records, &mut out).unwrap(),
            out,
        )
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn state_is_keyed_by_name_and_a_deletion_is_followed_by_a_tombstone() {
        let item = r#"{"op":"DELETE","at":"2026-01-01T10:00:00Z","kind":"Pod","uid":"u1",
            "namespace":"shop","name":"web-1"}"#;
        let (n, built) = entries(Topic::Resource, Some("prod"), item);
        assert_eq!((n, built.len()), (1, 2));
        assert_eq!(text(&built[0].key), "prod/Pod/shop/web-1");
        assert!(
            text(&built[0].value).contains(r#""cluster":"prod""#) && built[0].stream.partition == 4
        );
        assert!(built[1].key == built[0].key && built[1].value.is_empty());
    }

    #[test]
    fn ends_of_listings_have_a_key_a_day_and_endings_are_short() {
        let mut keys = BTreeSet::new();
        for i in 0..1000 {
            // Before 10:00.
            let at = Time(1_767_261_600_000_000 - i * 1_000_000);
            let item = format!(
                r#"{{"op":"SYNC","at":"{at}","since":"{at}","kind":"Pod","junk":"{}"}}"#,
                "x".repeat(2000)
            );
            let (_, built) = entries(Topic::Resource, Some("prod"), &item);
            assert!(built.len() == 1 && built[0].value.len() < 200);
            keys.insert(text(&built[0].key).to_owned());
        }
        assert_eq!(
            keys.into_iter().collect::<Vec<_>>(),
            ["prod/sync/Pod/2026-01-01"]
        );
    }

    #[test]
    fn an_end_without_a_beginning_keeps_the_one_before() {
        let key = |at: &str| {
            let item = format!(r#"{{"op":"SYNC","at":"2026-01-01T{at}Z","kind":"Pod"}}"#);
            entries(Topic::Resource, Some("prod"), &item)
                .1
                .remove(0)
                .key
        };
        assert_ne!(key("08:00:00"), key("09:00:00"));
    }

    #[test]
    fn what_a_worker_could_not_read_is_refused() {
        // serde_json reads a map with this key as the JSON text that is its value.
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let inner = json!({"$serde_json::private::RawValue": deep(50)});
        for (fits, outer) in [(true, "[]".to_owned()), (false, inner.to_string())] {
            let item = format!(
                r#"{{"kind":"Widget","name":"a","namespace":"shop","uid":"u",
                "password":"hunter2","spec":{}{outer}{}}}"#,
                "[".repeat(40),
                "]".repeat(40)
            );
            let (mut records, mut out) = (Vec::new(), Vec::new());
            let context = Context {
                cluster: Some("prod"),
                ..Context::default()
            };
            parse(Topic::Resource, item.as_bytes(), &context, &mut records).unwrap();
            let builder = EntryBuilder {
                topic: Topic::Resource,
                cluster: Some("prod"),
                only_cluster: None,
                received_at: Time(0),
                partition: &|_| 0,
                hash_key: None,
            };
            let added = builder.add(item.as_bytes(), &records, &mut out);
            assert_eq!(
                (added.is_ok(), out.len()),
                (fits, usize::from(fits)),
                "{added:?}"
            );
            if let Err(reject) = added {
                assert_eq!(reject.reason, Reason::TooDeep);
            }
        }
    }

    #[test]
    fn an_entry_of_state_holds_one_object() {
        let item = br#"{"kind":"Pod","name":"a"}"#;
        let (mut records, mut out) = (Vec::new(), Vec::new());
        let context = Context {
            cluster: Some("prod"),
            ..Context::default()
        };
        for _ in 0..2 {
            parse(Topic::Resource, item, &context, &mut records).unwrap();
        }
        let builder = EntryBuilder {
            topic: Topic::Resource,
            cluster: None,
            only_cluster: None,
            received_at: Time(0),
            partition: &|_| 0,
            hash_key: None,
        };
        assert!(builder.add(item, &records, &mut out).is_err() && out.is_empty());
        assert!(builder.add(item, &records[..1], &mut out).is_ok());
    }

    #[test]
    fn a_webhook_about_two_clusters_is_split() {
        let alert = |name: &str, cluster: &str| {
            format!(
                r#"{{"labels":{{"alertname":"{name}","cluster":"{cluster}"}},
                "startsAt":"2026-01-01T10:00:00Z"}}"#
            )
        };
        let item = format!(
            r#"{{"alerts":[{},{},{}]}}"#,
            alert("A", "one"),
            alert("B", "three"),
            alert("C", "one")
        );
        let (n, built) = entries(Topic::Alerts, None, &item);
        assert_eq!(n, 2);
        let by_cluster: Vec<_> = built
            .iter()
            .map(|e| {
                (
                    text(&e.key),
                    e.stream.partition,
                    text(&e.value).matches("alertname").count(),
                )
            })
            .collect();
        assert_eq!(by_cluster, [("one", 3, 2), ("three", 5, 1)]);
    }

    #[test]
    fn a_webhook_about_many_clusters_is_not_stored_once_for_each() {
        let alerts =
            (0..2000).map(|i| json!({"labels": {"alertname": "A", "cluster": i.to_string()}}));
        let webhook = json!({
            "commonLabels": {"junk": "x".repeat(500_000)},
            "alerts": alerts.collect::<Vec<_>>(),
        });
        let (n, built) = entries(Topic::Alerts, None, &webhook.to_string());
        let bytes: usize = built.iter().map(|e| e.value.len()).sum();
        assert!(n == 2000 && bytes < 400_000, "{n} entries, {bytes} bytes");
    }
}
