//! The client's side of SCRAM-SHA-512 (RFC 5802).

use std::num::NonZeroU32;

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::{digest, hmac, pbkdf2};

/// Size of a key in bytes.
const LEN: usize = digest::SHA512_OUTPUT_LEN;

/// The salted password that a server stores.
pub(super) fn salted(password: &str, salt: &[u8], rounds: NonZeroU32) -> [u8; LEN] {
    let mut key = [0; LEN];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        rounds,
        salt,
        password.as_bytes(),
        &mut key,
    );
    key
}

fn signed(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), text)
}

/// A started exchange.
pub(super) struct Exchange<'a> {
    user: &'a str,
    password: &'a str,
    nonce: &'a str,
}

impl<'a> Exchange<'a> {
    /// Starts an exchange with a nonce that is used only once.
    pub fn new(user: &'a str, password: &'a str, nonce: &'a str) -> Self {
        Self {
            user,
            password,
            nonce,
        }
    }

    fn bare(&self) -> String {
        let user = self.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={user},r={}", self.nonce)
    }

    /// The first message to the server.
    pub fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    /// The answer to the server's first message, and the answer the server must give to it; `None`
    /// when the message is invalid.
    pub fn last(&self, first_of_server: &str) -> Option<(String, String)> {
        let part = |name: &str| {
            first_of_server
                .split(',')
                .find_map(|p| p.strip_prefix(name))
        };
        let (nonce, salt, rounds) = (
            part("r=")?,
            BASE64_STANDARD.decode(part("s=")?).ok()?,
            part("i=")?.parse().ok()?,
        );
        if !nonce.starts_with(self.nonce) {
            return None;
        }
        let salted = salted(self.password, &salt, rounds);
        let client_key = signed(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA512, client_key.as_ref());
        let without_proof = format!("c=biws,r={nonce}");
        let all = format!("{},{first_of_server},{without_proof}", self.bare());
        let signature = signed(stored_key.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(k, s)| k ^ s)
            .collect();
        let server_key = signed(&salted, b"Server Key");
        let expected = signed(server_key.as_ref(), all.as_bytes());
        Some((
            format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)),
            format!("v={}", BASE64_STANDARD.encode(expected)),
        ))
    }
}
