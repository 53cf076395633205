//! The headers of our messages.

use kgrca_core::storage::Entry;
use rdkafka::message::{Header, OwnedHeaders};

/// When the door took a record, in microseconds, eight bytes: a message's own time has milliseconds
/// and is the broker's.
pub const RECEIVED_AT: &str = "kgrca-at";
/// Marks a message that only fills a gap.
#[cfg(feature = "server")]
pub const FILLER: &str = "kgrca-filler";

pub(super) fn headers(entry: &Entry) -> OwnedHeaders {
    let at = entry.received_at.0.to_be_bytes();
    OwnedHeaders::new_with_capacity(1).insert(Header {
        key: RECEIVED_AT,
        value: Some(&at),
    })
}
