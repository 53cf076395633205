//! Why a daemon does not start.

use kgrca_core::storage;

/// What went wrong and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

impl From<storage::Error> for Failure {
    fn from(e: storage::Error) -> Self {
        Self {
            message: e.message,
            hint: e.hint,
        }
    }
}
