//! Looks through a JSON body before anything is built from it: one pass that allocates nothing, so
//! that a body of a few kilobytes cannot become gigabytes of values.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::usecases::{Error, Result};

/// Memory of a value beside its text: 32 bytes, in a list that may have grown to twice its length.
const VALUE: usize = 64;
/// Memory of an entry of an object beside its name, and of the first node of its tree.
const ENTRY: usize = 128;
const OBJECT: usize = 640;
/// The most memory for what one body holds.
pub(super) const MAX_MEMORY: usize = 32 << 20;
/// A name that `serde_json` replaces by its value parsed once more, after the checks.
const REPLACED: &str = "$serde_json::private::RawValue";

/// What a body holds.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// Memory of all its values, in bytes: an estimate that is rather too high.
    pub memory: usize,
    /// Whether a number is written like `2.0`.
    pub has_whole_floats: bool,
    is_too_large: bool,
}

/// Looks through a body.
///
/// # Errors
/// `invalid_request` when it is not JSON, or holds what cannot be stored; `payload_too_large` when
/// its values take more than [`MAX_MEMORY`].
pub(super) fn look_through(body: &[u8]) -> Result<Holds> {
    let mut holds = Holds::default();
    let mut parser = serde_json::Deserializer::from_slice(body);
    let read = Pass(&mut holds).deserialize(&mut parser);
    let read = read.and_then(|()| parser.end());
    if holds.is_too_large {
        let limit = MAX_MEMORY >> 20;
        let message = format!("the values in the body take more than {limit} MiB of memory");
        return Err(Error::too_large(message).hint("send fewer values"));
    }
    match read {
        Ok(()) => Ok(holds),
        Err(e) => Err(Error::invalid(format!("invalid body: {e}"))),
    }
}

struct Pass<'a>(&'a mut Holds);

impl Pass<'_> {
    fn add<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.0.memory += bytes;
        if self.0.memory <= MAX_MEMORY {
            return Ok(());
        }
        self.0.is_too_large = true;
        Err(E::custom("too many values"))
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(E::custom("a string contains the character U+0000"));
        }
        if text == REPLACED {
            return Err(E::custom(format!("`{REPLACED}` cannot be used")));
        }
        self.add(text.len())
    }
}

impl<'de> DeserializeSeed<'de> for Pass<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<(), D::Error> {
        self.add(VALUE)?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pass<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    /// The API document promises that numbers fit into an `i64`.
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(_) => Ok(()),
            Err(_) => Err(E::custom("a number is greater than 9223372036854775807")),
        }
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.has_whole_floats |= number.fract() == 0.0;
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Pass(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut is_empty = true;
        while fields.next_key_seed(Pass(self.0))?.is_some() {
            if std::mem::take(&mut is_empty) {
                self.add::<A::Error>(OBJECT)?;
            }
            self.add::<A::Error>(ENTRY)?;
            fields.next_value_seed(Pass(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usecases::Code;

    #[test]
    fn what_cannot_be_stored_is_found_at_any_depth() {
        for (body, why) in [
            (r#"{"a":[{"b":"x\u0000"}]}"#, "U+0000"),
            (r#"{"a":[{"b\u0000":1}]}"#, "U+0000"),
            (
                r#"{"a":[9223372036854775808]}"#,
                "greater than 9223372036854775807",
            ),
            (
                r#"{"a":{"$serde_json::private::RawValue":"[1]"}}"#,
                "cannot be used",
            ),
            (r#"{"a":1} x"#, "trailing"),
            (r#"{"a":"#, "EOF"),
        ] {
            let error = look_through(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, Code::InvalidRequest, "{body}");
            assert!(error.message.contains(why), "{body}: {}", error.message);
        }
        let deep = "[".repeat(1_000);
        assert!(look_through(deep.as_bytes()).is_err());
    }

    #[test]
    fn whole_floats_are_found() {
        let has = |body: &str| look_through(body.as_bytes()).unwrap().has_whole_floats;
        assert!(has(r#"{"a":[2.0]}"#));
        assert!(!has(r#"{"a":[2, 2.5, -9223372036854775808]}"#));
    }

    #[test]
    fn what_becomes_many_values_is_refused_before_it_is_built() {
        for part in ["[]", "{}", "0", r#"{"":0}"#, r#""""#, "[[[[0]]]]"] {
            let body = format!(r#"{{"a":[{}0]}}"#, format!("{part},").repeat(600_000));
            let error = look_through(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, Code::PayloadTooLarge, "{part}");
            assert!(error.message.contains("32 MiB"), "{}", error.message);
        }
    }

    #[test]
    fn the_estimate_is_not_below_what_the_values_take() {
        let numbers = format!("[{}0]", "1,".repeat(1_000));
        let taken = 1_000 * size_of::<serde_json::Value>();
        assert!(look_through(numbers.as_bytes()).unwrap().memory >= taken);
    }
}
