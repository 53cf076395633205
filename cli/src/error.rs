//! Errors for people and scripts: an exit code, a message, causes, a hint.

use kgrca_core::api::ErrorBody;

use crate::client::As;

/// Exit codes; scripts rely on them.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Failed.
    pub const FAILED: u8 = 1;
    /// Usage, or a question that was answered with no.
    pub const USAGE: u8 = 2;
    /// Not found.
    pub const NOT_FOUND: u8 = 3;
    /// Not authenticated or not allowed.
    pub const NOT_ALLOWED: u8 = 4;
    /// Limit or quota.
    pub const LIMIT: u8 = 5;
    /// Unreachable or timed out.
    pub const UNREACHABLE: u8 = 6;
    /// A check found something.
    pub const FOUND: u8 = 10;
}

/// Why a command failed.
#[derive(Debug)]
pub struct CliError {
    /// Its exit code.
    pub exit: u8,
    /// What failed. Empty when the output has said it already.
    pub message: String,
    /// What it came from.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// The status that the server answered with.
    pub status: Option<u16>,
}

/// Result of a command.
pub type Result<T = ()> = std::result::Result<T, CliError>;

impl CliError {
    /// An error with an exit code.
    pub fn new(exit: u8, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            request_id: None,
            status: None,
        }
    }

    /// A failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(exit::FAILED, message)
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// A check that found something; the output has said what.
    pub fn found() -> Self {
        Self::new(exit::FOUND, "")
    }

    /// The same with what it came from.
    pub fn cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether a reader went away, which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        self.message == CLOSED_PIPE
    }

    /// An error of the API.
    pub fn api(status: u16, body: Option<ErrorBody>, who: As) -> Self {
        let exit = match status {
            400 | 405 | 409 | 413 => exit::USAGE,
            404 => exit::NOT_FOUND,
            401 | 403 => exit::NOT_ALLOWED,
            429 => exit::LIMIT,
            502..=504 => exit::UNREACHABLE,
            _ => exit::FAILED,
        };
        let error = match body {
            Some(body) => Self {
                hint: body.error.hint.map(|hint| in_our_words(hint, who)),
                request_id: Some(body.error.request_id),
                ..Self::new(exit, body.error.message)
            },
            None => Self::new(exit, format!("the server answered {status}")),
        };
        Self {
            status: Some(status),
            ..error
        }
    }
}

/// The API's hints name routes; here the commands that call them are wanted.
fn in_our_words(hint: String, who: As) -> String {
    let key = format!(
        "set {}, or choose another context with `kgrca context use`",
        who.variable()
    );
    let commands = [
        ("GET /api/v1/incidents lists them", "kgrca incident list"),
        ("GET /api/v1/admin/clients lists them", "kgrca tenant list"),
        ("GET /api/v1/admin/sagas lists them", "kgrca saga list"),
        ("GET /api/v1/resources lists them", "kgrca resource list"),
        ("send a key as `X-API-Key` or `Authorization: Bearer`", &key),
    ];
    commands
        .iter()
        .find(|(route, _)| *route == hint)
        .map_or(hint, |(_, command)| (*command).to_owned())
}

const CLOSED_PIPE: &str = "\u{0}closed pipe";

impl From<std::io::Error> for CliError {
    fn from(e: std::io::Error) -> Self {
        let message = if e.kind() == std::io::ErrorKind::BrokenPipe {
            CLOSED_PIPE.to_owned()
        } else {
            e.to_string()
        };
        Self::failed(message)
    }
}
