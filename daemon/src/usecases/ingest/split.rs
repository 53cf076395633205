//! From a body to its records: an array's elements, or lines, or one document; and the items of
//! Kubernetes lists.

use std::borrow::Cow;
use std::fmt;

use kgrca_core::model::Topic;
use kgrca_core::parse::may_be_list;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::usecases::error::{Error, Result};

/// Most records of one request.
pub const MAX_ITEMS: usize = 100_000;

/// The records of a body.
///
/// # Errors
/// `invalid_request` for an empty body and for an array that is not JSON; `payload_too_large` for
/// more than [`MAX_ITEMS`]. Lines that are not JSON are records that are rejected later, one by
/// one.
pub fn records(topic: Topic, body: &[u8]) -> Result<Vec<&[u8]>> {
    let mut all = Vec::new();
    for document in documents(body)? {
        unpack_list(topic, document, &mut all);
        if all.len() > MAX_ITEMS {
            return Err(too_many());
        }
    }
    Ok(all)
}

fn too_many() -> Error {
    Error::too_large(format!("the body has more than {MAX_ITEMS} records"))
        .hint("send smaller batches")
}

/// The elements of an array, one more than allowed at most: the others are only skipped.
#[derive(Default)]
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut elements: A,
            ) -> std::result::Result<Items<'de>, A::Error> {
                let mut items = Items::default();
                while items.0.len() <= MAX_ITEMS {
                    match elements.next_element()? {
                        Some(item) => items.0.push(item),
                        None => return Ok(items),
                    }
                }
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// Replaces a list, such as `kubectl get -o json` prints, by its items: whatever has `items`, where
/// records have no field of that name; elsewhere only a Kubernetes `List`.
fn unpack_list<'a>(topic: Topic, document: &'a [u8], out: &mut Vec<&'a [u8]>) {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow, default)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        items: Items<'a>,
    }
    impl List<'_> {
        fn is_named(&self) -> bool {
            self.kind
                .as_ref()
                .is_some_and(|kind| kind.ends_with("List"))
        }
    }
    let has_items = std::str::from_utf8(document).is_ok_and(|text| text.contains("\"items\""));
    match has_items.then(|| serde_json::from_slice::<List<'_>>(document)) {
        Some(Ok(list)) if may_be_list(topic) || list.is_named() => {
            out.extend(list.items.0.into_iter().map(|i| i.get().as_bytes()));
        }
        _ => out.push(document),
    }
}

fn documents(body: &[u8]) -> Result<Vec<&[u8]>> {
    let trimmed = body.trim_ascii();
    if trimmed.is_empty() {
        return Err(Error::invalid("the body is empty")
            .hint("send a JSON record, an array of records, or one record per line"));
    }
    if trimmed.first() == Some(&b'[') {
        let items: Items<'_> = serde_json::from_slice(trimmed)
            .map_err(|e| Error::invalid(format!("the body is not a valid JSON array: {e}")))?;
        return Ok(items.0.into_iter().map(|i| i.get().as_bytes()).collect());
    }
    let first_line = trimmed.split(|b| *b == b'\n').next().unwrap_or_default();
    let spans_lines = first_line.len() < trimmed.len() && !is_json(first_line);
    if spans_lines && is_json(trimmed) {
        return Ok(vec![trimmed]);
    }
    Ok(trimmed
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(MAX_ITEMS + 1)
        .collect())
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(body: &str) -> usize {
        records(Topic::Resource, body.as_bytes()).unwrap().len()
    }

    #[test]
    fn a_body_is_an_array_or_lines_or_one_document() {
        assert_eq!(count(r#"[{"a":1},{"a":2}]"#), 2);
        assert_eq!(count("{\"a\":1}\n\n{\"a\":2}\n"), 2);
        assert_eq!(count("{\n\"a\": 1\n}"), 1, "a document over several lines");
        assert_eq!(count("{\"a\":1}\nnot json"), 2, "rejected later, by itself");
        let is_refused = |body: &[u8]| records(Topic::Logs, body).is_err();
        assert!(is_refused(b" \n") && is_refused(b"[1,"));
    }

    #[test]
    fn a_body_with_too_many_records_is_refused() {
        let forms = |n: usize| {
            let array = format!("[{}]", vec!["1"; n].join(","));
            let list = format!(r#"{{"kind":"PodList","items":{array}}}"#);
            [array, "1\n".repeat(n), list]
        };
        for body in forms(MAX_ITEMS) {
            assert_eq!(count(&body), MAX_ITEMS);
        }
        for body in forms(MAX_ITEMS + 1) {
            let error = records(Topic::Logs, body.as_bytes()).unwrap_err();
            assert_eq!(error.code, crate::usecases::Code::PayloadTooLarge);
        }
    }

    #[test]
    fn a_list_is_its_items() {
        let count = |topic, body: &str| records(topic, body.as_bytes()).unwrap().len();
        for topic in [Topic::Resource, Topic::Events, Topic::Logs] {
            let named = r#"{"kind":"PodList","items":[{"a":1},{"a":2}]}"#;
            assert_eq!(count(topic, named), 2);
            let expected = if topic == Topic::Logs { 1 } else { 2 };
            for other in [
                "",
                r#""kind":"Basket","#,
                r#""kind":"","#,
                r#""cluster":"c","#,
            ] {
                let list = format!(r#"{{{other}"items":[{{"a":1}},{{"a":2}}]}}"#);
                assert_eq!(count(topic, &list), expected, "{topic:?} {list}");
            }
            assert_eq!(count(topic, r#"{"kind":"Pod","items":null}"#), 1);
            assert_eq!(count(topic, r#"{"kind":"Pod","spec":{"items":[1,2]}}"#), 1);
        }
    }
}
