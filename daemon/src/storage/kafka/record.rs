//! Conversion between records and messages.

use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::{Entry, Stored};
use kgrca_core::tenancy::TenantId;
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use super::signature::{Signed, SigningKey};
use crate::clock::now;
use crate::kafka::{self, FILLER, RECEIVED_AT, topic_name};

/// How long a record may take from its receipt to the broker. Only a daemon may state a time further
/// away: a tenant would choose the day that its records are charged to, and the quota that they are
/// held against.
const UNDER_WAY: i64 = 10 * MINUTE;
/// The signature of a daemon.
const SIGNATURE: &str = "kgrca-by";

pub(super) fn filler() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header {
        key: FILLER,
        value: Some(b""),
    })
}

pub(super) fn is_filler(message: &BorrowedMessage<'_>) -> bool {
    header(message, FILLER).is_some()
}

fn header<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a [u8]> {
    let headers = message.headers()?;
    let found = headers.iter().find(|h| h.key == name)?;
    Some(found.value.unwrap_or_default())
}

/// The headers of an entry's message, signed where it was received long ago.
pub(super) fn headers(tenant: &TenantId, entry: &Entry, key: Option<&SigningKey>) -> OwnedHeaders {
    let headers = kafka::headers(entry);
    let is_old = (now().0 - entry.received_at.0).abs() > UNDER_WAY / 2;
    let Some(key) = key.filter(|_| is_old) else {
        return headers;
    };
    let signature = key.sign(&Signed {
        topic: &topic_name(tenant, entry.stream.topic),
        partition: entry.stream.partition,
        received_at: entry.received_at,
        key: &entry.key,
        value: &entry.value,
    });
    headers.insert(Header {
        key: SIGNATURE,
        value: Some(signature.as_ref()),
    })
}

/// A message as a record; `None` without an offset.
pub(super) fn stored(message: &BorrowedMessage<'_>, key: Option<&SigningKey>) -> Option<Stored> {
    Some(Stored {
        offset: message.offset().try_into().ok()?,
        key: message.key().unwrap_or_default().into(),
        value: if is_filler(message) {
            Box::default()
        } else {
            message.payload().unwrap_or_default().into()
        },
        received_at: received_at(message, key),
    })
}

/// When a record was received: when its sender says, as far as it is believed, otherwise when the
/// broker got it.
fn received_at(message: &BorrowedMessage<'_>, key: Option<&SigningKey>) -> Time {
    let appended = Time(message.timestamp().to_millis().unwrap_or_default() * 1000);
    let said = header(message, RECEIVED_AT).and_then(|value| value.try_into().ok());
    let Some(said) = said.map(|bytes| Time(i64::from_be_bytes(bytes))) else {
        return appended;
    };
    // With another setting of the topic the timestamp is the sender's as well.
    let is_brokers = matches!(message.timestamp(), Timestamp::LogAppendTime(_));
    let Some(key) = key.filter(|_| is_brokers && !is_under_way(said, appended)) else {
        return said;
    };
    let signed = Signed {
        topic: message.topic(),
        partition: message.partition().unsigned_abs(),
        received_at: said,
        key: message.key().unwrap_or_default(),
        value: message.payload().unwrap_or_default(),
    };
    match header(message, SIGNATURE) {
        Some(signature) if key.verifies(&signed, signature) => said,
        _ => appended,
    }
}

/// Clocks of senders and brokers differ a little.
fn is_under_way(said: Time, appended: Time) -> bool {
    (appended.0 - said.0).abs() <= UNDER_WAY
}

/// Approximate memory used by a record, in bytes.
pub(super) fn size(stored: &Stored) -> usize {
    stored.key.len() + stored.value.len() + 64
}
