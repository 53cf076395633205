//! Texts of receivers that are not printed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

/// What stands for a text that is not shown; applied again, the stored one is kept.
pub(super) const HIDDEN: &str = "********";

impl SecretText {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.0.contains(HIDDEN)
    }
}

impl SecretText {
    /// Leaves what helps to tell receivers apart: the scheme and host of a URL. The path of a
    /// webhook is a secret.
    pub(super) fn hide(&mut self) {
        let host = self.0.split('/').take(3).collect::<Vec<_>>().join("/");
        let is_url = host.starts_with("http") && !host.contains('@');
        self.0 = if is_url {
            format!("{host}/{HIDDEN}")
        } else {
            HIDDEN.to_owned()
        };
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}
