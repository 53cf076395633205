//! The typed model that all other modules use: times, names, objects and records.

pub mod address;
mod command;
mod counts;
mod kind_word;
mod memory;
pub mod name;
pub mod object;
pub mod record;
pub mod severity;
mod text;
pub mod time;
pub mod watched;

pub use command::Command;
pub use counts::RecordCounts;
pub use memory::memory;
pub use name::{Alias, Kind};
pub use record::{
    Act, ActKind, Alert, Body, Edge, Episode, LogLine, Op, Record, ReportedChange, Subject, Topic,
};
pub use severity::Severity;
pub use text::{Str, counted};
pub use time::Time;
