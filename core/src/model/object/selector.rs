//! Labels and the selectors that match them.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::values::{List, Scalar};
use crate::model::Str;

/// Labels, annotations and other string maps, sorted by key. Values that are not text are
/// converted.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub struct Labels(pub Arc<[(Str, Str)]>);

impl Labels {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .binary_search_by(|(k, _)| (**k).cmp(key))
            .ok()
            .map(|i| &*self.0[i].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every pair of `wanted` is contained.
    pub fn contains_all(&self, wanted: &Self) -> bool {
        wanted.iter().all(|(k, v)| self.get(k) == Some(v))
    }

    /// The pairs in the form `a=b,c=d`.
    pub fn to_text(&self) -> String {
        self.iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut pairs: Vec<(Str, Str)> = pairs
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        pairs.sort();
        Self(pairs.into())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_unit<E>(self) -> Result<Labels, E> {
                Ok(Labels::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some((k, v)) = map.next_entry::<Str, Scalar>()? {
                    pairs.push((k, v.0));
                }
                // Of two with one name the last counts, as for whoever parses the text as JSON: two
                // readers must not take one record for that of different clusters.
                pairs.reverse();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                pairs.dedup_by(|a, b| a.0 == b.0);
                Ok(Labels(pairs.into()))
            }
        }
        d.deserialize_any(V)
    }
}

/// A label selector.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    pub match_labels: Labels,
    pub match_expressions: List<Requirement>,
}

/// One term of a label selector, a node selector or an affinity.
#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct Requirement {
    pub key: Str,
    pub operator: Str,
    #[serde(default)]
    pub values: List<Str>,
}

impl Requirement {
    /// Reads one term, such as `app=web` or `zone notin (a, b)`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_word = |word: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            word.chars().all(is_part)
        };
        let new = |key: &str, operator: &str, values: &[&str]| {
            let is_valid = !key.is_empty() && is_word(key) && values.iter().all(|v| is_word(v));
            is_valid.then(|| Self {
                key: key.into(),
                operator: operator.into(),
                values: values.iter().map(|v| Str::from(*v)).collect(),
            })
        };
        if let Some(key) = text.strip_prefix('!') {
            return new(key.trim(), "DoesNotExist", &[]);
        }
        for (sign, operator) in [("!=", "NotIn"), ("==", "In"), ("=", "In")] {
            if let Some((key, value)) = text.split_once(sign) {
                return new(key.trim(), operator, &[value.trim()]);
            }
        }
        let Some((start, list)) = text.split_once('(') else {
            return new(text, "Exists", &[]);
        };
        let (key, operator) = start.trim().split_once(char::is_whitespace)?;
        let operator = match operator.trim() {
            "in" => "In",
            "notin" => "NotIn",
            _ => return None,
        };
        let values: Vec<&str> = list.strip_suffix(')')?.split(',').map(str::trim).collect();
        new(key, operator, &values)
    }

    /// Whether `labels` satisfy this term. Unknown operators count as satisfied, so that they cause
    /// no finding.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = |v: &str| self.values.iter().any(|w| &**w == v);
        let number = |v: &str| v.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|v| number(v));
        match &*self.operator {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => value
                .and_then(number)
                .zip(bound())
                .is_some_and(|(v, b)| v > b),
            "Lt" => value
                .and_then(number)
                .zip(bound())
                .is_some_and(|(v, b)| v < b),
            _ => true,
        }
    }

    /// The term in the form `key in (a, b)`.
    pub fn to_text(&self) -> String {
        match &*self.operator {
            "Exists" => self.key.to_string(),
            "DoesNotExist" => format!("!{}", self.key),
            operator => format!(
                "{} {} ({})",
                self.key,
                operator.to_lowercase(),
                self.values.join(", ")
            ),
        }
    }
}

impl Selector {
    /// Reads a selector as kubectl takes it: `app=web,tier!=cache,zone in (a, b),!canary`. `None`
    /// when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut depth = 0_usize;
        let terms = text.split(|c: char| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        });
        let terms: Option<Vec<Requirement>> = terms.map(Requirement::parse).collect();
        Some(Self {
            match_expressions: terms?.into_iter().collect(),
            ..Self::default()
        })
    }

    /// Whether an object with `labels` is selected; an empty selector selects all.
    pub fn matches(&self, labels: &Labels) -> bool {
        labels.contains_all(&self.match_labels)
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_kubectl_takes_them() {
        let labels: Labels = [("app", "web"), ("k8s.io/zone", "a")].into_iter().collect();
        let matches = |text: &str| Selector::parse(text).map(|s| s.matches(&labels));
        for text in [
            "app=web",
            "app==web, k8s.io/zone in (a,b)",
            "app",
            "!canary",
            "tier!=cache",
            "app notin (api, mail),k8s.io/zone",
        ] {
            assert_eq!(matches(text), Some(true), "{text}");
        }
        for text in [
            "app=api",
            "app!=web",
            "canary",
            "!app",
            "app in (api)",
            "app=",
        ] {
            assert_eq!(matches(text), Some(false), "{text}");
        }
        for text in [
            "",
            "=web",
            "app=a b",
            "app in web",
            "app in (web",
            "app near (web)",
            "a,,b",
        ] {
            assert_eq!(matches(text), None, "{text}");
        }
    }

    #[test]
    fn null_reads_as_no_labels() {
        let labels: Labels = serde_json::from_str("null").unwrap();
        assert!(labels.is_empty());
    }
    #[test]
    fn of_two_labels_with_one_name_the_last_counts_as_in_any_reading_of_json() {
        let text = r#"{"cluster":"prod","a":"1","cluster":"eu-1"}"#;
        let labels: Labels = serde_json::from_str(text).unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(labels.get("cluster"), value["cluster"].as_str());
        assert_eq!(labels.iter().count(), 2);
    }
}
