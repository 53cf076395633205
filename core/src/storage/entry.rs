//! Log entries from accepted records: which stream they go to, under which key.

use std::collections::BTreeSet;

use super::{Entry, StreamId};
use crate::model::{Body, Op, Record, Time, Topic};
use crate::parse::mask::{self, HashKey};
use crate::parse::{Reason, Reject};
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
        let before = out.len();
        let count = self.add_unchecked(item, records, out);
        if let Err(e) = out[before..].iter().try_for_each(Entry::check) {
            out.truncate(before);
            return Err(Reject::new(Reason::TooLarge, e.message));
        }
        Ok(count)
    }

    fn add_unchecked(&self, item: &[u8], records: &[Record], out: &mut Vec<Entry>) -> u64 {
        let Some(first) = records.first() else {
            return 1;
        };
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

    /// Splits a webhook about several clusters, which may belong to different partitions.
    fn add_by_cluster(&self, item: &[u8], records: &[Record], out: &mut Vec<Entry>) -> u64 {
        let Ok(webhook) = serde_json::from_slice::<serde_json::Value>(item) else {
            return 0;
        };
        let clusters = records.iter().map(|r| &*r.cluster);
        let clusters: BTreeSet<&str> = clusters
            .filter(|cluster| self.only_cluster.unwrap_or(cluster) == *cluster)
            .collect();
        for &cluster in &clusters {
            let mut part = webhook.clone();
            if let Some(alerts) = part["alerts"].as_array_mut() {
                // There is one record per alert, in the same order.
                let mut own = records.iter().map(|r| &*r.cluster == cluster);
                alerts.retain(|_| own.next().unwrap_or(false));
            }
            out.push(self.entry(
                cluster,
                cluster.as_bytes().into(),
                part.to_string().into_bytes().into(),
            ));
        }
        clusters.len() as u64
    }
}

/// Where the key is the object's id, a cluster that only the sender knew is added to the record.
fn with_cluster(topic: Topic, item: &[u8], cluster: Option<&str>) -> Vec<u8> {
    let Some(cluster) = cluster.filter(|_| topic.signal().is_compacted()) else {
        return item.to_vec();
    };
    match serde_json::from_slice::<serde_json::Value>(item) {
        Ok(serde_json::Value::Object(mut map)) if !map.contains_key("cluster") => {
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
        Body::Sync { kind, .. } => format!("{}/sync/{kind}/{}", record.cluster, record.at.0)
            .into_bytes()
            .into(),
        _ => record.cluster.as_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
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
}
