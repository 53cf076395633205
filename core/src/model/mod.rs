//! The typed model every later step works on: times, names, objects and records.

pub mod name;
pub mod object;
pub mod record;
pub mod severity;
pub mod time;

pub use name::{Alias, Kind, Str};
pub use record::{Act, ActKind, Alert, Body, Edge, Episode, LogLine, Op, Record, Subject, Topic};
pub use severity::Severity;
pub use time::Time;
