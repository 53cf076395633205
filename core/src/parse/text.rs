//! Tolerant field types for what senders send in practice.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{Kind, Str, Subject, Time};

/// Text, borrowed from the input unless it has escapes. Numbers and bools read as text, everything
/// else as empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

/// The text, unless it is absent or empty.
pub(super) fn non_empty<'b>(text: Option<&'b Text<'_>>) -> Option<&'b str> {
    text.map(|t| &*t.0).filter(|t| !t.is_empty())
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(if v { "true" } else { "false" })))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
        }
        d.deserialize_any(V)
    }
}

/// A count that may be absent, null, text or negative.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count(pub Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(
            Text::deserialize(d)?
                .0
                .parse::<f64>()
                .ok()
                .filter(|n| *n >= 0.0)
                .map(|n| n as u64),
        ))
    }
}

impl Count {
    pub(super) fn at_least_one(self) -> u32 {
        self.0.unwrap_or(1).clamp(1, u64::from(u32::MAX)) as u32
    }
}

/// The first of `texts` that is a time.
pub(super) fn first_time<'b, 'a: 'b>(
    texts: impl IntoIterator<Item = Option<&'b Text<'a>>>,
) -> Option<Time> {
    texts.into_iter().flatten().find_map(|t| Time::parse(&t.0))
}

/// Any spelling of an object reference.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RefWire<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<Text<'a>>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    ns: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl RefWire<'_> {
    /// The subject; `None` without name and uid.
    pub(super) fn subject(&self) -> Option<Subject> {
        let uid = non_empty(self.uid.as_ref());
        let name = non_empty(self.name.as_ref());
        if uid.is_none() && name.is_none() {
            return None;
        }
        let kind = Kind::of_group(
            non_empty(self.kind.as_ref()).unwrap_or("Pod"),
            non_empty(self.api_version.as_ref()),
        );
        let namespace = non_empty(self.ns.as_ref())
            .or(non_empty(self.namespace.as_ref()))
            .unwrap_or("");
        let namespace = if kind.is_cluster_scoped() {
            ""
        } else {
            namespace
        };
        Some(Subject {
            uid: uid.map(Str::from),
            namespace: namespace.into(),
            name: name.unwrap_or("").into(),
            kind,
        })
    }
}
