//! What a record that passed a door becomes in the log: in which stream, under which key.

use std::collections::BTreeSet;

use super::{Entry, StreamId};
use crate::model::{Body, Op, Record, Time, Topic};
use crate::parse::mask;
use crate::tenancy::TenantId;

/// The partition of a cluster: CRC32 of `client_id/cluster`.
pub fn partition_of(tenant: &TenantId, cluster: &str, partitions: u32) -> u32 {
    crc32fast::hash(format!("{tenant}/{cluster}").as_bytes()) % partitions.max(1)
}

/// Where records of one topic come in at one time.
pub struct Door<'a> {
    /// Their topic.
    pub topic: Topic,
    /// The cluster of records that name none.
    pub cluster: Option<&'a str>,
    /// When they came.
    pub received_at: Time,
    /// The partition of a cluster.
    pub partition: &'a dyn Fn(&str) -> u32,
}

impl Door<'_> {
    /// Adds what goes into the log for an item that was parsed into `records`; what looks like a
    /// secret is masked. Returns how many records that are.
    pub fn admit(&self, item: &[u8], records: &[Record], out: &mut Vec<Entry>) -> u64 {
        let Some(first) = records.first() else {
            return 1;
        };
        let masked = mask::record(self.topic, item);
        if self.topic == Topic::Alerts && records.iter().any(|r| r.cluster != first.cluster) {
            return self.admit_by_cluster(&masked, records, out);
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

    /// A webhook about several clusters becomes one for each: clusters lie in partitions of their
    /// own.
    fn admit_by_cluster(&self, item: &[u8], records: &[Record], out: &mut Vec<Entry>) -> u64 {
        let Ok(webhook) = serde_json::from_slice::<serde_json::Value>(item) else {
            return 0;
        };
        let clusters: BTreeSet<&str> = records.iter().map(|r| &*r.cluster).collect();
        for &cluster in &clusters {
            let mut part = webhook.clone();
            if let Some(alerts) = part["alerts"].as_array_mut() {
                // A record per alert, in their order.
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

/// State records keep the object's id as key, so the cluster that only the sender knew is written
/// into them.
fn with_cluster(topic: Topic, item: &[u8], cluster: Option<&str>) -> Vec<u8> {
    let Some(cluster) = cluster.filter(|_| matches!(topic, Topic::Resource | Topic::Topology))
    else {
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

/// The object's id on the compacted topics, the cluster elsewhere.
fn key(record: &Record) -> Box<[u8]> {
    match &record.body {
        Body::State(_, object) => {
            let meta = &object.meta;
            // By name: of those that bore it the newest is what a rebuild needs, and a DELETE may
            // not know the uid.
            let named = format!("{}/{}/{}", meta.kind, meta.namespace, meta.name);
            let id = if meta.name.is_empty() {
                meta.uid.as_deref().map_or(named, str::to_owned)
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

    fn admitted(topic: Topic, cluster: Option<&str>, item: &str) -> (u64, Vec<Entry>) {
        let context = Context {
            received_at: Time(1_767_261_600_000_000),
            cluster,
            client_id: None,
        };
        let (mut records, mut out) = (Vec::new(), Vec::new());
        parse(topic, item.as_bytes(), &context, &mut records).unwrap();
        let partition = |cluster: &str| cluster.len() as u32;
        let door = Door {
            topic,
            cluster,
            received_at: context.received_at,
            partition: &partition,
        };
        (door.admit(item.as_bytes(), &records, &mut out), out)
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn state_lies_under_its_name_and_a_deletion_ends_what_was_there() {
        let item = r#"{"op":"DELETE","at":"2026-01-01T10:00:00Z","kind":"Pod","uid":"u1","namespace":"shop","name":"web-1"}"#;
        let (n, entries) = admitted(Topic::Resource, Some("prod"), item);
        assert_eq!((n, entries.len()), (1, 2));
        assert_eq!(text(&entries[0].key), "prod/Pod/shop/web-1");
        assert!(
            text(&entries[0].value).contains(r#""cluster":"prod""#)
                && entries[0].stream.partition == 4
        );
        assert!(entries[1].key == entries[0].key && entries[1].value.is_empty());
    }

    #[test]
    fn a_webhook_about_two_clusters_becomes_one_for_each() {
        let alert = |name: &str, cluster: &str| {
            format!(
                r#"{{"labels":{{"alertname":"{name}","cluster":"{cluster}"}},"startsAt":"2026-01-01T10:00:00Z"}}"#
            )
        };
        let item = format!(
            r#"{{"alerts":[{},{},{}]}}"#,
            alert("A", "one"),
            alert("B", "three"),
            alert("C", "one")
        );
        let (n, entries) = admitted(Topic::Alerts, None, &item);
        assert_eq!(n, 2);
        let told: Vec<_> = entries
            .iter()
            .map(|e| {
                (
                    text(&e.key),
                    e.stream.partition,
                    text(&e.value).matches("alertname").count(),
                )
            })
            .collect();
        assert_eq!(told, [("one", 3, 2), ("three", 5, 1)]);
    }
}
