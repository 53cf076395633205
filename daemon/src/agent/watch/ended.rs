//! Why a list or watch ended, which decides how it is continued.

use kgrca_core::storage::with_causes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why a list or watch ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server no longer has the history since the last version: everything must be listed.
    Gone,
    /// The agent lacks the permission, or the kind does not exist.
    Denied(String),
    /// The server does not support streaming lists.
    NoStream,
    /// Any other error.
    Failed(String),
}

impl From<kube::Error> for Ended {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 410 => Self::Gone,
            kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404) => {
                Self::Denied(status.message.clone())
            }
            kube::Error::Api(status) if matches!(status.code, 400 | 422) => Self::NoStream,
            _ => Self::Failed(with_causes(&error)),
        }
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(with_causes(&error))
    }
}

impl From<serde_json::Error> for Ended {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(format!("invalid response from the API server: {error}"))
    }
}

/// Reads the `Status` object of an `ERROR` event.
pub(super) fn error_event(object: &RawValue) -> Ended {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        code: u16,
        #[serde(default)]
        message: String,
    }
    match serde_json::from_str::<Status>(object.get()) {
        Ok(status) if status.code == 410 => Ended::Gone,
        Ok(status) if matches!(status.code, 400 | 422) => Ended::NoStream,
        Ok(status) => Ended::Failed(status.message),
        Err(e) => e.into(),
    }
}
