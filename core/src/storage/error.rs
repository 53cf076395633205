//! Errors of stores: a kind to act on, a message, and a hint.

use std::fmt;

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an error, which decides how a caller reacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It exists already, or was changed concurrently.
    Conflict,
    /// The store is not available; retrying may help.
    Unavailable,
    /// Others ask too much of it at the moment: retrying helps.
    Busy,
    /// No space left; nothing was written.
    Full,
    /// Stored data cannot be read.
    Corrupt,
    /// The request is invalid.
    Refused,
    /// The store cannot keep a value: repeating does not help.
    Unstorable,
    /// The lease has passed to another daemon.
    Fenced,
    /// Anything else.
    Internal,
}

/// A store's error.
#[derive(Clone, Debug)]
pub struct Error {
    /// How to react.
    pub kind: ErrorKind,
    /// What failed, and where.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Error {
    /// An error without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An I/O error on a file or a connection.
    pub fn io(source: &dyn fmt::Display, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Unavailable,
        };
        let error = Self::new(kind, format!("{source}: {error}"));
        if kind == ErrorKind::Full {
            error.hint("free space on the disk that holds the data folder")
        } else {
            error
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The message of an error and of its causes: the outer one seldom says what is wrong.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = inner.source();
    }
    text
}
