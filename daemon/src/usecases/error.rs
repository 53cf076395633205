//! Why a use case refused or failed, independent of the interface that called it.

use std::fmt;
use std::time::Duration;

use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{self, ErrorKind, Taken};

use crate::clock::now;

/// The machine-readable reason of an error. Its word is part of the API and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request itself is wrong; repeating it cannot succeed.
    InvalidRequest,
    /// The API key is missing, unknown, expired or revoked.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The key works, but not from the network that the request came from.
    NetworkNotAllowed,
    /// What the request names does not exist, or belongs to another tenant.
    NotFound,
    /// The current state does not allow it, or somebody else changed it first.
    Conflict,
    /// The request is larger than allowed.
    PayloadTooLarge,
    /// The body of the request arrived too slowly; the same request may succeed later.
    TooSlow,
    /// Too many calls in a short time.
    RateLimited,
    /// The plan's quota is used up.
    QuotaExceeded,
    /// A store does not answer or has no room; the same request may succeed later.
    Unavailable,
    /// A defect, or data that cannot be read.
    Internal,
}

/// Seconds after which a store that did not answer may be asked again.
const RETRY_UNAVAILABLE: u64 = 5;

impl Code {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NetworkNotAllowed => "network_not_allowed",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::TooSlow => "request_timeout",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// What helps with every error of this code that has no better hint of its own.
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some("send a key as `X-API-Key` or `Authorization: Bearer`"),
            Self::Internal => Some("report the request id to your provider"),
            _ => None,
        }
    }
}

/// Result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that a caller sees.
#[derive(Debug)]
pub struct Error {
    /// The machine-readable reason.
    pub code: Code,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u64>,
    /// The cause, for the log only: it may name servers and files that callers must not see.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: code.hint().map(str::to_owned),
            retry_after: None,
            source: None,
        }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// The key is missing or does not work.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, message)
    }

    /// The caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// The key cannot be used from where the request came from.
    pub fn network_not_allowed(message: impl Into<String>) -> Self {
        Self::new(Code::NetworkNotAllowed, message)
    }

    /// What the request names does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// The current state does not allow it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// The request is too large.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Code::PayloadTooLarge, message)
    }

    /// Too many calls in a short time.
    pub fn rate_limited(message: impl Into<String>, taken: &Taken) -> Self {
        Self {
            retry_after: Some(seconds_until_retry(taken)),
            ..Self::new(Code::RateLimited, message)
        }
    }

    /// The body arrives too slowly.
    pub fn too_slow(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(Code::TooSlow, message)
        }
        .hint("send smaller batches, or compress them")
    }

    /// The caller has as much running as it may; the same request may succeed in a second.
    pub fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(Code::RateLimited, message)
        }
    }

    /// The daemon has more to do than it can hold.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(Code::Unavailable, message)
        }
    }

    /// The daemon cannot do it now; the same request may succeed after `retry_after` seconds.
    pub fn unavailable_for(message: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::Unavailable, message)
        }
    }

    /// The request took longer than it may. What it changes may still complete.
    pub fn timed_out(longest: Duration) -> Self {
        let message = format!("the request took longer than {} s", longest.as_secs());
        Self {
            retry_after: Some(RETRY_UNAVAILABLE),
            ..Self::new(Code::Unavailable, message)
        }
        .hint("a change may still complete: check its result before you retry")
    }

    /// The plan's quota is used up; the same request may succeed after `retry_after` seconds.
    pub fn quota_exceeded(message: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after.max(1)),
            ..Self::new(Code::QuotaExceeded, message)
        }
    }

    /// A defect. The caller sees that there is one; `source` goes to the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::Internal, "internal error")
        }
    }

    /// A store that does not answer, or has no room. What it said goes to the log.
    fn unavailable(message: &str, source: storage::Error) -> Self {
        Self {
            hint: Some(
                "retry shortly; if it persists, report the request id to your provider".into(),
            ),
            retry_after: Some(RETRY_UNAVAILABLE),
            source: Some(Box::new(source)),
            ..Self::new(Code::Unavailable, message)
        }
    }

    /// What the operator sees of the same: which server said what.
    pub fn of_server(e: storage::Error) -> Self {
        match e.kind {
            ErrorKind::Full | ErrorKind::Unavailable => Self {
                hint: e.hint,
                ..Self::new(Code::Unavailable, e.message)
            },
            _ => e.into(),
        }
    }

    /// The same error with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether what the request names does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

/// Whole seconds until the same request may succeed, at least one.
pub fn seconds_until_retry(taken: &Taken) -> u64 {
    ((taken.retry.0 - now().0) / SECOND + 1).max(1) as u64
}

impl From<storage::Error> for Error {
    /// What tenants see: never the words of a server behind the daemon.
    fn from(e: storage::Error) -> Self {
        let code = match e.kind {
            ErrorKind::Conflict => Code::Conflict,
            ErrorKind::Refused => Code::InvalidRequest,
            ErrorKind::Full => {
                return Self::unavailable("the server has no space left to store this", e);
            }
            ErrorKind::Unavailable => {
                return Self::unavailable("the service is temporarily unavailable", e);
            }
            ErrorKind::Busy => {
                return Self {
                    hint: e.hint,
                    ..Self::overloaded(e.message)
                };
            }
            ErrorKind::Corrupt
            | ErrorKind::Unstorable
            | ErrorKind::Fenced
            | ErrorKind::Internal => {
                return Self::internal(e);
            }
        };
        Self {
            hint: e.hint,
            ..Self::new(code, e.message)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_fails_is_not_quoted_to_tenants() {
        for kind in [
            ErrorKind::Corrupt,
            ErrorKind::Fenced,
            ErrorKind::Internal,
            ErrorKind::Unavailable,
            ErrorKind::Full,
        ] {
            let from_server = || storage::Error::new(kind, "10.0.0.7: page 4").hint("ssh db1");
            let error = Error::from(from_server());
            let shown = format!("{} {:?}", error.message, error.hint);
            assert!(
                !shown.contains("10.0.0.7") && !shown.contains("db1"),
                "{shown}"
            );
            assert!(error.to_string().contains("page 4"), "the log says why");
        }
    }

    #[test]
    fn the_operator_sees_which_server_does_not_answer() {
        let e = storage::Error::new(ErrorKind::Unavailable, "10.0.0.7: refused").hint("start it");
        let error = Error::of_server(e);
        assert_eq!(error.message, "10.0.0.7: refused");
        assert_eq!(error.hint.as_deref(), Some("start it"));
    }
}
