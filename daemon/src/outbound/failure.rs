//! Why a request to an address of a tenant failed, and whether it is tried again.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Longest wait that a receiver can ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people: it says nothing about networks behind the daemon.
    pub text: String,
    /// Whether the same request will fail again.
    pub is_lasting: bool,
    /// When the receiver wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// A name that resolves to no address that may be reached.
#[derive(Debug)]
pub(super) struct ForbiddenAddress;

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not public, and the operator has not allowed its network")
    }
}

impl Error for ForbiddenAddress {}

impl Failure {
    /// One that will not pass.
    pub fn lasting(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_lasting: true,
            retry_after: None,
        }
    }

    fn passing(text: impl Into<String>) -> Self {
        Self {
            is_lasting: false,
            ..Self::lasting(text)
        }
    }

    /// An address that may not be reached.
    pub(super) fn forbidden_address() -> Self {
        Self::lasting(ForbiddenAddress.to_string())
    }

    /// A request without an answer.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut cause: Option<&dyn Error> = Some(error);
        while let Some(current) = cause {
            if current.is::<ForbiddenAddress>() {
                return Self::forbidden_address();
            }
            cause = current.source();
        }
        if error.is_builder() {
            return Self::lasting("the request cannot be built: check URL and secrets");
        }
        let text = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "cannot connect: unknown host, refused, or an invalid certificate"
        } else {
            "the connection was closed before the answer"
        };
        Self::passing(text)
    }

    /// What an answer says: `Ok` for success.
    pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap) -> Result<(), Self> {
        if status.is_success() {
            return Ok(());
        }
        let text = format!("the receiver answered {status}");
        if status.is_redirection() {
            return Err(Self::lasting(text + ": redirects are not followed"));
        }
        // The same request cannot succeed. Others, such as a wrong path, are fixed meanwhile.
        let lasting = [
            StatusCode::BAD_REQUEST,
            StatusCode::GONE,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        if lasting.contains(&status) {
            return Err(Self::lasting(text));
        }
        let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
        let seconds = seconds.and_then(|text| text.trim().parse::<u64>().ok());
        Err(Self {
            retry_after: seconds.map(|n| Duration::from_secs(n.max(1)).min(LONGEST_WAIT)),
            ..Self::passing(text)
        })
    }
}
