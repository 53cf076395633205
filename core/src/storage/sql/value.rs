//! Values that go into statements and rows that come out.

use crate::model::Time;
use crate::storage::{Error, ErrorKind, Result};

/// A value of a column; an absent one still has a type, which servers want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number, a time, or a truth value.
    Int(Option<i64>),
    /// Text.
    Text(Option<String>),
}

/// The values of a list of expressions, each converted.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::storage::sql::Value::from($value)),*] };
}
pub(super) use values;

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self::Int(Some(v))
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self::Int(Some(i64::from(v)))
    }
}

/// Ids and offsets keep their bits.
impl From<u64> for Value {
    fn from(v: u64) -> Self {
        Self::Int(Some(v as i64))
    }
}

impl From<usize> for Value {
    fn from(v: usize) -> Self {
        Self::Int(Some(v as i64))
    }
}

impl From<Time> for Value {
    fn from(v: Time) -> Self {
        Self::Int(Some(v.0))
    }
}

impl From<Option<i64>> for Value {
    fn from(v: Option<i64>) -> Self {
        Self::Int(v)
    }
}

impl From<Option<Time>> for Value {
    fn from(v: Option<Time>) -> Self {
        Self::Int(v.map(|t| t.0))
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(Some(v.to_owned()))
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::Text(Some(v))
    }
}

impl From<&String> for Value {
    fn from(v: &String) -> Self {
        Self::Text(Some(v.clone()))
    }
}

impl From<Option<&str>> for Value {
    fn from(v: Option<&str>) -> Self {
        Self::Text(v.map(str::to_owned))
    }
}

impl From<&Option<String>> for Value {
    fn from(v: &Option<String>) -> Self {
        Self::Text(v.clone())
    }
}

/// A row, read from its first column to its last.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these columns.
    pub fn new(columns: Vec<Value>) -> Self {
        Self(columns.into_iter())
    }

    fn other(found: Option<Value>) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("metadata: a column holds {found:?}"),
        )
    }

    /// The next column, a number that may be absent.
    pub fn maybe_int(&mut self) -> Result<Option<i64>> {
        match self.0.next() {
            Some(Value::Int(v)) => Ok(v),
            Some(Value::Text(None)) => Ok(None),
            found => Err(Self::other(found)),
        }
    }

    /// The next column, a number.
    pub fn int(&mut self) -> Result<i64> {
        self.maybe_int()?.ok_or_else(|| Self::other(None))
    }

    /// The next column, text that may be absent.
    pub fn maybe_text(&mut self) -> Result<Option<String>> {
        match self.0.next() {
            Some(Value::Text(v)) => Ok(v),
            Some(Value::Int(None)) => Ok(None),
            found => Err(Self::other(found)),
        }
    }

    /// The next column, text.
    pub fn text(&mut self) -> Result<String> {
        self.maybe_text()?.ok_or_else(|| Self::other(None))
    }

    /// The next column, a time.
    pub fn time(&mut self) -> Result<Time> {
        self.int().map(Time)
    }

    /// The next column, a time that may be absent.
    pub fn maybe_time(&mut self) -> Result<Option<Time>> {
        Ok(self.maybe_int()?.map(Time))
    }
}
