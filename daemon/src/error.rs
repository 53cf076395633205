//! Why a process cannot start, or a command of `kgrcad` cannot finish.

use std::error::Error;
use std::fmt;
use std::path::Path;

use kgrca_core::storage::{self, ErrorKind};

/// Kinds of failures. Each has a usual next step, used where a failure has no better hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A flag, an environment variable or a file is missing or wrong.
    Config,
    /// A server or store does not answer; the same may work later.
    Unavailable,
    /// Another process holds the directory or the address.
    InUse,
    /// A defect of kgrcad.
    Bug,
}

impl FailureKind {
    fn hint(self) -> &'static str {
        match self {
            Self::Config => "run `kgrcad --help` for the settings and their variables",
            Self::Unavailable => "check that the server is running and reachable, then try again",
            Self::InUse => "stop the other process first",
            Self::Bug => "this is a bug in kgrcad: please report it",
        }
    }
}

impl From<ErrorKind> for FailureKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Full => Self::Unavailable,
            ErrorKind::Conflict | ErrorKind::Fenced => Self::InUse,
            ErrorKind::Internal | ErrorKind::Unstorable => Self::Bug,
            ErrorKind::Refused | ErrorKind::Corrupt => Self::Config,
        }
    }
}

/// What went wrong, why, and what to do next. `Display` prints the message with its causes.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A wrong setting, and how to correct it.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(FailureKind::Config, message).hint(hint)
    }

    /// A failure with the usual hint of its kind.
    pub fn of(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// A file or directory that a setting names cannot be used.
    pub fn file(path: &Path, error: std::io::Error, hint: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), hint).source(error)
    }

    /// A defect: something failed that no setting can cause.
    pub fn bug(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(FailureKind::Bug, "internal error").source(error)
    }

    /// Replaces the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind, for callers that handle one of them.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The next step: this failure's own, or the usual one of its kind.
    pub fn next_step(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.kind.hint())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {}", storage::with_causes(&**source)),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        let failure = Self::of(error.kind.into(), error.message);
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_file_the_cause_and_the_next_step() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let failure = Failure::file(Path::new("/etc/ca.pem"), missing, "check --ca-file");
        assert_eq!(failure.to_string(), "/etc/ca.pem: entity not found");
        assert_eq!(failure.next_step(), "check --ca-file");
    }

    #[test]
    fn a_failure_without_a_hint_has_the_usual_one_of_its_kind() {
        let error = storage::Error::new(ErrorKind::Unavailable, "connection refused");
        let failure = Failure::from(error);
        assert_eq!(failure.kind(), FailureKind::Unavailable);
        assert!(failure.next_step().contains("reachable"));
    }
}
