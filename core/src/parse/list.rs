//! Lists of objects or events. Ingestion stores each item as a record of its own, so that each is
//! counted, keyed and limited; earlier versions stored some lists as one record.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::{Text, non_empty};
use super::{Context, Reason, Reject, parse};
use crate::model::{Record, Topic};

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default)]
    cluster: Option<Text<'a>>,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// Whether records of a topic that have `items` are lists: log lines and alerts may have a field
/// of that name.
pub fn may_be_list(topic: Topic) -> bool {
    matches!(topic, Topic::Resource | Topic::Events)
}

/// Why a record that has `items` is rejected.
pub(super) fn refusal() -> Reject {
    Reject::new(
        Reason::UnknownShape,
        "a list within a list, or within a larger record: send its `items` as records",
    )
}

/// Parses what the log holds: like [`parse`], but also a list that an earlier version stored as
/// one record. Its cluster is that of items that name none.
///
/// # Errors
/// Those of [`parse`], for the first item that has one; `out` is then unchanged.
pub fn parse_stored(
    topic: Topic,
    bytes: &[u8],
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let Some(list) = list(topic, bytes) else {
        return parse(topic, bytes, context, out);
    };
    let context = Context {
        cluster: context.cluster.or(non_empty(list.cluster.as_ref())),
        ..*context
    };
    let before = out.len();
    let mut items = list.items.iter();
    let result =
        items.try_for_each(|item| parse_stored(topic, item.get().as_bytes(), &context, out));
    if result.is_err() {
        out.truncate(before);
    }
    result
}

fn list(topic: Topic, bytes: &[u8]) -> Option<List<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !may_be_list(topic) || !text.contains("\"items\"") {
        return None;
    }
    super::checked(bytes).ok()?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"reason":"Failed","involvedObject":{"kind":"Pod","name":"a"}}"#;
    const POD: &str = r#"{"kind":"Pod","namespace":"shop","name":"a"}"#;

    fn cases() -> Vec<(Topic, String)> {
        let mut cases = Vec::new();
        for (topic, item) in [(Topic::Events, EVENT), (Topic::Resource, POD)] {
            for kind in ["", r#""kind":"List","#, r#""kind":"Basket","#] {
                let list = format!(r#"{{{kind}"cluster":"prod","items":[{item},{item}]}}"#);
                cases.push((topic, format!(r#"{{"cluster":"prod","items":[{list}]}}"#)));
                cases.push((topic, list));
            }
        }
        cases
    }

    #[test]
    fn a_list_is_not_a_record_but_stored_ones_are_read() {
        let context = Context::default();
        for (topic, text) in cases() {
            let mut records = Vec::new();
            let reject = parse(topic, text.as_bytes(), &context, &mut records).unwrap_err();
            assert_eq!(reject.reason, Reason::UnknownShape, "{text}");
            parse_stored(topic, text.as_bytes(), &context, &mut records).unwrap();
            let clusters: Vec<&str> = records.iter().map(|r| &*r.cluster).collect();
            assert_eq!(clusters, ["prod", "prod"], "{text}");
        }
        let log = r#"{"cluster":"c","message":"m","pod_name":"p","items":[1]}"#;
        let mut records = Vec::new();
        parse(Topic::Logs, log.as_bytes(), &context, &mut records).unwrap();
        assert_eq!(records.len(), 1, "a field of a log line");
    }

    #[test]
    fn of_a_stored_list_with_an_invalid_item_nothing_is_read() {
        let text = format!(r#"{{"cluster":"prod","items":[{POD},{{"name":"b"}}]}}"#);
        let mut records = Vec::new();
        let context = Context::default();
        let result = parse_stored(Topic::Resource, text.as_bytes(), &context, &mut records);
        assert!(result.is_err() && records.is_empty());
    }
}
