//! Shared, interned text.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use borsh::io;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Shared text: cloning copies a pointer, and a short text that was read recently is not allocated
/// again.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Str(Arc<str>);

/// A number of things: `1 cluster`, `2 clusters`.
pub fn counted(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Maximum length of interned texts, in bytes: names, labels and words of the API are shorter.
const MAX_INTERNED: usize = 64;
/// Number of interned texts per thread.
const SLOTS: usize = 1 << 13;

thread_local! {
    /// Recent texts, each in the slot of its hash; newer ones replace older ones.
    static INTERNED: RefCell<Vec<Option<Arc<str>>>> = const { RefCell::new(Vec::new()) };
}

fn intern(text: &str) -> Arc<str> {
    let slot = foldhash::fast::FixedState::default().hash_one(text) as usize % SLOTS;
    INTERNED.with_borrow_mut(|texts| {
        if texts.is_empty() {
            texts.resize(SLOTS, None);
        }
        match &texts[slot] {
            Some(known) if **known == *text => Arc::clone(known),
            _ => {
                let new: Arc<str> = text.into();
                texts[slot] = Some(Arc::clone(&new));
                new
            }
        }
    })
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        match text.len() {
            0 => Self::default(),
            1..=MAX_INTERNED => Self(intern(text)),
            _ => Self(text.into()),
        }
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<std::borrow::Cow<'_, str>> for Str {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        (&*text).into()
    }
}

impl Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

// By the text, as `Borrow` requires.
impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl BorshSerialize for Str {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&**self, writer)
    }
}

impl BorshDeserialize for Str {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Ok(String::deserialize_reader(reader)?.into())
    }
}

impl Serialize for Str {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Str;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E>(self, v: &str) -> Result<Str, E> {
                Ok(v.into())
            }
        }
        d.deserialize_str(V)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_thing_is_not_plural() {
        assert_eq!(counted(1_u64, "cluster"), "1 cluster");
        assert_eq!(counted(0_u64, "cluster"), "0 clusters");
    }

    #[test]
    fn recent_texts_are_shared() {
        let (a, b) = (Str::from("payments"), Str::from("payments"));
        assert!(Arc::ptr_eq(&a.0, &b.0));
    }

    proptest! {
        #[test]
        fn a_shared_text_equals_its_source(texts in proptest::collection::vec(".{0,80}", 0..50)) {
            for text in &texts {
                prop_assert_eq!(&*Str::from(text.as_str()), text.as_str());
            }
        }
    }
}
