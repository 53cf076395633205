//! Headers of our messages.

use kgrca_core::storage::Entry;
use rdkafka::message::{Header, OwnedHeaders};

/// Time at which a record was received, in microseconds, as eight bytes. A message's own timestamp
/// has milliseconds and is the broker's.
pub const RECEIVED_AT: &str = "kgrca-at";
/// Marks a message that only fills a gap in the offsets.
#[cfg(feature = "server")]
pub const FILLER: &str = "kgrca-filler";

/// The headers of an entry's message.
pub fn headers(entry: &Entry) -> OwnedHeaders {
    let at = entry.received_at.0.to_be_bytes();
    OwnedHeaders::new_with_capacity(1).insert(Header {
        key: RECEIVED_AT,
        value: Some(&at),
    })
}
