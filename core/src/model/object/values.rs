//! Field values as API servers and people write them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::model::{Str, Time};

/// A list in which `null` reads as empty, as Go servers write it.
#[derive(borsh::BorshSerialize, Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Box<[T]>);

impl<T: borsh::BorshDeserialize> borsh::BorshDeserialize for List<T> {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        Ok(Self(Vec::deserialize_reader(reader)?.into_boxed_slice()))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Box::new([]))
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(
            Option::<Vec<T>>::deserialize(d)?
                .unwrap_or_default()
                .into_boxed_slice(),
        ))
    }
}

/// Labels, annotations and other string maps, sorted by key; values that are not text are kept as
/// text.
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

    /// Whether every pair of `wanted` is among these.
    pub fn contains_all(&self, wanted: &Self) -> bool {
        wanted.iter().all(|(k, v)| self.get(k) == Some(v))
    }

    /// `a=b,c=d`
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
                pairs.sort();
                Ok(Labels(pairs.into()))
            }
        }
        d.deserialize_any(V)
    }
}

/// Text, or a number or bool read as text; null reads as empty.
#[derive(Clone, Debug)]
pub struct Scalar(pub Str);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("text, a number or a bool")
            }
            fn visit_str<E>(self, v: &str) -> Result<Scalar, E> {
                Ok(Scalar(v.into()))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string().into()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string().into()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string().into()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string().into()))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar("".into()))
            }
        }
        d.deserialize_any(V)
    }
}

/// A port by number or by name.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    Number(i64),
    Name(Str),
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for PortRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(d)?.0;
        Ok(text.parse().map_or_else(|_| Self::Name(text), Self::Number))
    }
}

/// A resource quantity in thousandths of its base unit (cores, bytes, pieces).
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
pub struct Quantity(pub i128);

impl Quantity {
    /// Reads `100m`, `1.5`, `2Gi`, `1e3`; `None` when it is no quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        let factor: f64 = match suffix {
            "" => 1.0,
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "k" | "K" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1024_f64.powi(2),
            "Gi" => 1024_f64.powi(3),
            "Ti" => 1024_f64.powi(4),
            "Pi" => 1024_f64.powi(5),
            "Ei" => 1024_f64.powi(6),
            exponent if exponent.starts_with(['e', 'E']) => 10_f64.powi(
                exponent[1..]
                    .parse()
                    .ok()
                    .filter(|e| (-18..=18).contains(e))?,
            ),
            _ => return None,
        };
        let value: f64 = number.parse().ok()?;
        Some(Self((value * factor * 1000.0).round() as i128))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(d)?.0;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is not a quantity")))
    }
}

/// Named quantities such as `{cpu: 100m, memory: 1Gi}`; entries that are no quantities are left
/// out.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(pub Box<[(Str, Quantity, Str)]>);

impl Quantities {
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.0
            .iter()
            .find(|(n, ..)| &**n == name)
            .map(|(_, q, _)| *q)
    }

    /// The quantity as it was written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, ..)| &**n == name)
            .map(|(.., t)| &**t)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Quantity, &str)> {
        self.0.iter().map(|(n, q, t)| (&**n, *q, &**t))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let labels = Labels::deserialize(d)?;
        Ok(Self(
            labels
                .0
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), Quantity::parse(v)?, v.clone())))
                .collect(),
        ))
    }
}

/// A time that may be absent, null or Go's zero time.
#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
pub struct MaybeTime(pub Option<Time>);

impl<'de> Deserialize<'de> for MaybeTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(
            Option::<Scalar>::deserialize(d)?.and_then(|t| Time::parse(&t.0)),
        ))
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
    /// Whether `labels` satisfy this term; unknown operators count as satisfied, so that nothing is
    /// accused by ignorance.
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

    /// `key in (a, b)`
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
    /// Whether this selects an object with `labels`; an empty selector selects all.
    pub fn matches(&self, labels: &Labels) -> bool {
        labels.contains_all(&self.match_labels)
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_read_as_the_api_writes_them() {
        let q = |t| Quantity::parse(t).map(|q| q.0);
        assert_eq!(q("100m"), Some(100));
        assert_eq!(q("1.5"), Some(1500));
        assert_eq!(q("1Ki"), Some(1_024_000));
        assert_eq!(q("1e3"), Some(1_000_000));
        assert_eq!(q("lots"), None);
    }

    #[test]
    fn null_reads_as_empty() {
        let list: List<Str> = serde_json::from_str("null").unwrap();
        assert!(list.is_empty());
        let labels: Labels = serde_json::from_str("null").unwrap();
        assert!(labels.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_a_quantity_or_none(text in ".{0,12}") {
            let _ = Quantity::parse(&text);
        }
    }
}
