//! Signatures of messages with which daemons write what was received long before, such as records
//! of an imported tenant. Tenants cannot make them, and cannot read those of others.

use std::fmt;

use kgrca_core::model::Time;
use kgrca_core::storage::KafkaUrl;
use ring::hmac;

/// The key of all daemons that use a Kafka cluster: it follows from the password of their user.
#[derive(Clone)]
pub(super) struct SigningKey(hmac::Key);

/// What is signed.
pub(super) struct Signed<'a> {
    /// Name of the topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// When the record was received.
    pub received_at: Time,
    /// Key of the message.
    pub key: &'a [u8],
    /// Value of the message; empty for a tombstone.
    pub value: &'a [u8],
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    /// The key of a cluster's daemons; `None` for a cluster without users, where senders cannot be
    /// distinguished.
    pub fn of(url: &KafkaUrl) -> Option<Self> {
        let (user, password) = url.user.as_ref()?;
        let secret = format!("kgrca message {user} {password}");
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
    }

    /// The signature of a message.
    pub fn sign(&self, signed: &Signed<'_>) -> hmac::Tag {
        hmac::sign(&self.0, &signed.bytes())
    }

    /// Whether a signature is right.
    pub fn verifies(&self, signed: &Signed<'_>, signature: &[u8]) -> bool {
        hmac::verify(&self.0, &signed.bytes(), signature).is_ok()
    }
}

impl Signed<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.topic.as_bytes(), self.key, self.value] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        bytes.extend(self.partition.to_be_bytes());
        bytes.extend(self.received_at.0.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_message_by_one_password() {
        let key = |url: &str| SigningKey::of(&KafkaUrl::parse(url).unwrap()).unwrap();
        let (own, other) = (key("kafka://kgrca:a@h:1"), key("kafka://kgrca:b@h:1"));
        let message = |partition, at| Signed {
            topic: "client-a-abc123.events.normalized",
            partition,
            received_at: Time(at),
            key: b"prod",
            value: b"{}",
        };
        let signature = own.sign(&message(1, 2));
        assert!(own.verifies(&message(1, 2), signature.as_ref()));
        assert!(!own.verifies(&message(1, 3), signature.as_ref()));
        assert!(!own.verifies(&message(2, 2), signature.as_ref()));
        assert!(!own.verifies(&message(1, 2), &signature.as_ref()[..16]));
        assert!(!other.verifies(&message(1, 2), signature.as_ref()));
        assert!(SigningKey::of(&KafkaUrl::parse("kafka://h:1").unwrap()).is_none());
    }
}
