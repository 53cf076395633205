//! Conversion of messages to records.

use kgrca_core::model::Time;
use kgrca_core::storage::Stored;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use crate::kafka::{FILLER, RECEIVED_AT};

pub(super) fn filler() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header {
        key: FILLER,
        value: Some(b""),
    })
}

pub(super) fn is_filler(message: &BorrowedMessage<'_>) -> bool {
    message
        .headers()
        .is_some_and(|h| h.iter().any(|h| h.key == FILLER))
}

/// A message as a record; `None` without an offset.
pub(super) fn stored(message: &BorrowedMessage<'_>) -> Option<Stored> {
    let ours = message.headers().and_then(|headers| {
        let header = headers.iter().find(|h| h.key == RECEIVED_AT)?;
        Some(Time(i64::from_be_bytes(header.value?.try_into().ok()?)))
    });
    // Other producers do not set the header: the broker's clock counts.
    let received_at = ours
        .or_else(|| Some(Time(message.timestamp().to_millis()? * 1000)))
        .unwrap_or_default();
    Some(Stored {
        offset: message.offset().try_into().ok()?,
        key: message.key().unwrap_or_default().into(),
        value: if is_filler(message) {
            Box::default()
        } else {
            message.payload().unwrap_or_default().into()
        },
        received_at,
    })
}

/// Approximate memory used by a record, in bytes.
pub(super) fn size(stored: &Stored) -> usize {
    stored.key.len() + stored.value.len() + 64
}
