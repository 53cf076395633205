//! Records of senders, from their arrival to the causes.

use std::sync::LazyLock;

use kgrca_core::detect::Catalogue;
use kgrca_core::engine::ClusterState;
use kgrca_core::model::{Body, Record, Time, Topic};
use kgrca_core::parse::mask::HashKey;
use kgrca_core::parse::{self, Context};
use kgrca_core::rca::Weights;
use kgrca_core::storage::{Entry, EntryBuilder};
use kgrca_core::tenancy::TenantId;

const TENANT: &str = "client-a-abc123";
/// When all records arrive: 2030-03-17T17:46:40Z.
const NOW: Time = Time(1_900_000_000_000_000);

pub fn tenant() -> TenantId {
    TenantId::parse(TENANT).expect("a valid id")
}

fn context(cluster: Option<&str>) -> Context<'_> {
    Context {
        received_at: NOW,
        cluster,
        client_id: Some(TENANT),
    }
}

/// What a daemon does after each batch.
pub fn evaluate(state: &mut ClusterState) {
    static RULES: LazyLock<(Weights, Catalogue)> =
        LazyLock::new(|| (Weights::shipped(), Catalogue::shipped()));
    let (weights, catalogue) = &*RULES;
    let evaluation = state.evaluate(state.watermark, weights, catalogue);
    assert!(evaluation.panics.is_empty(), "{:?}", evaluation.panics);
    state.take_changes();
}

/// What ingest makes of an item: the records, and the entries of the log. Nothing when it is
/// rejected.
fn accepted(topic: Topic, item: &[u8], key: &HashKey) -> Option<(Vec<Record>, Vec<Entry>)> {
    let context = context(Some("prod"));
    let mut records = Vec::new();
    if parse::parse(topic, item, &context, &mut records).is_err() {
        assert!(records.is_empty(), "a reject leaves nothing behind");
        return None;
    }
    let builder = EntryBuilder {
        topic,
        cluster: context.cluster,
        only_cluster: None,
        received_at: NOW,
        partition: &|_| 0,
        hash_key: Some(key),
    };
    let mut entries = Vec::new();
    builder.add(item, &records, &mut entries).ok()?;
    Some((records, entries))
}

/// What a worker reads in an entry.
fn read_back(entry: &Entry) -> Vec<Record> {
    let topic = entry.stream.topic;
    let key = (!topic.signal().is_compacted()).then_some(&*entry.key);
    let context = context(key.and_then(|key| std::str::from_utf8(key).ok()));
    let mut records = Vec::new();
    let read = parse::parse(topic, &entry.value, &context, &mut records);
    if let Err(reject) = read {
        let value = String::from_utf8_lossy(&entry.value);
        panic!("accepted, but cannot be read back: {reject:?}: {value}");
    }
    records
}

/// A cluster after the records of a history: a line each, whose first character is the number of
/// its topic.
pub fn applied(history: &[u8]) -> ClusterState {
    static KEY: LazyLock<HashKey> = LazyLock::new(|| HashKey::new(b"a secret of a tenant"));
    let mut state = ClusterState::new("prod");
    state.keep_journal();
    for line in history.split(|b| *b == b'\n') {
        let Some((digit, item)) = line.split_first() else {
            continue;
        };
        let topic = Topic::ALL[usize::from(digit.wrapping_sub(b'0')) % Topic::ALL.len()];
        let Some((records, entries)) = accepted(topic, item, &KEY) else {
            continue;
        };
        let values = entries.iter().filter(|entry| !entry.value.is_empty());
        let read: Vec<Record> = values.flat_map(read_back).collect();
        if !entries.is_empty() {
            assert_eq!(read.len(), records.len(), "as many as were accepted");
        }
        for mut record in read {
            if let Body::State(_, object) = &mut record.body {
                KEY.replace_in(object);
            }
            if state.admit(topic, &record) {
                state.apply(record);
            }
        }
    }
    state
}

/// A history: what is accepted can be read back, applied, evaluated and saved.
pub fn history(input: &[u8]) {
    let mut state = applied(input);
    evaluate(&mut state);
    let bytes = state.snapshot().expect("written");
    let mut restored = ClusterState::from_snapshot(&bytes).expect("read again");
    restored.restore(&state.save()).expect("restored");
    evaluate(&mut restored);
}

/// A record of a file that names no topic.
pub fn shapes(input: &[u8]) {
    for cluster in [None, Some("prod")] {
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        let read = parse::parse_any(input, &context(cluster), &mut records, &mut rejects);
        let mut state = ClusterState::new("prod");
        // The items of a list that could be read stay, whatever is wrong with another one.
        if read.is_ok() {
            for record in records {
                state.apply(record);
            }
        }
    }
}
