//! Shared text.

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

/// Text that is shared: cloning copies a pointer, and short texts that were read a moment ago are
/// not read anew.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Str(Arc<str>);

/// Longest text that is looked for among those read before, in bytes: names, labels and words of
/// the API are shorter.
const SHORT: usize = 64;
/// How many texts a thread remembers.
const REMEMBERED: usize = 1 << 13;

thread_local! {
    /// Texts read before, each in the one place that its hash gives it; newer ones take the place
    /// of older ones.
    static READ: RefCell<Vec<Option<Arc<str>>>> = const { RefCell::new(Vec::new()) };
}

fn remembered(text: &str) -> Arc<str> {
    let place = foldhash::fast::FixedState::default().hash_one(text) as usize % REMEMBERED;
    READ.with_borrow_mut(|read| {
        if read.is_empty() {
            read.resize(REMEMBERED, None);
        }
        match &read[place] {
            Some(known) if **known == *text => Arc::clone(known),
            _ => {
                let new: Arc<str> = text.into();
                read[place] = Some(Arc::clone(&new));
                new
            }
        }
    })
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        match text.len() {
            0 => Self::default(),
            1..=SHORT => Self(remembered(text)),
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

// By the text, as `Borrow` demands.
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
    fn what_was_read_a_moment_ago_is_shared() {
        let (a, b) = (Str::from("payments"), Str::from("payments"));
        assert!(Arc::ptr_eq(&a.0, &b.0));
    }

    proptest! {
        #[test]
        fn a_text_is_what_was_given(texts in proptest::collection::vec(".{0,80}", 0..50)) {
            for text in &texts {
                prop_assert_eq!(&*Str::from(text.as_str()), text.as_str());
            }
        }
    }
}
