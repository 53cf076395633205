//! What can go wrong with a store: a kind to act on, a message to read, a hint what to do next.

use std::fmt;

/// Result of a store.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing exists already or changed meanwhile.
    Conflict,
    /// The store does not answer; later it may.
    Unavailable,
    /// There is no room; nothing was written.
    Full,
    /// What is stored cannot be read.
    Corrupt,
    /// The caller asks for what cannot be done.
    Refused,
    /// A lease or epoch has passed to somebody else.
    Fenced,
    /// Anything else.
    Internal,
}

/// An error of a store.
#[derive(Debug)]
pub struct Error {
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// What went wrong, where.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An input or output error at a place.
    pub fn io(place: &dyn fmt::Display, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Unavailable,
        };
        let error = Self::new(kind, format!("{place}: {error}"));
        if kind == ErrorKind::Full {
            error.hint("make room on the disk of the data folder")
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

/// An error with what caused it: the outer one seldom says what is wrong.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = inner.source();
    }
    text
}
