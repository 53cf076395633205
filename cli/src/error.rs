//! Errors as users and scripts see them: a kind that decides the exit code, a message, its causes
//! and a hint.

use kgrca_core::model::Time;
use serde_json::error::Category;

use crate::output::{Style, Styled};

/// What kind of failure it is. Scripts see it as the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything that has no kind of its own.
    Failed,
    /// Wrong arguments, or a confirmation that was refused.
    Usage,
    /// The named object does not exist.
    NotFound,
    /// Not authenticated, or not authorized.
    NotAllowed,
    /// A rate limit or quota is used up.
    Limit,
    /// The server cannot be reached, or something took too long.
    Unreachable,
    /// A check found something; not an error of the command itself.
    Found,
    /// The reader of stdout went away, as `head` does; not an error.
    ClosedPipe,
}

impl Kind {
    /// The exit code of a command that ends with it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotAllowed => 4,
            Self::Limit => 5,
            Self::Unreachable => 6,
            Self::Found => 10,
        }
    }
}

/// What a server said about a request that it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// HTTP status.
    pub status: u16,
    /// ID under which the server logged the request.
    pub request_id: Option<String>,
    /// When the same request may succeed.
    pub retry_at: Option<Time>,
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed. Empty when the output already shows it.
    pub message: String,
    /// The errors behind it, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// Set when a server answered.
    pub server: Option<Box<ServerError>>,
}

/// Result of a command.
pub type Result<T = ()> = std::result::Result<T, CliError>;

impl CliError {
    /// An error without causes and hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            server: None,
        }
    }

    /// A failure that has no kind of its own.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A wrong argument.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Something that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// A check found something, and the output already shows what.
    pub fn found() -> Self {
        Self::new(Kind::Found, "")
    }

    /// Adds a cause.
    pub fn cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and everything behind it as causes.
    pub fn source(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Wrappers often repeat what they wrap.
            if !self.causes.last().is_some_and(|c| c.ends_with(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds an error of JSON as the cause, in words that do not need to know the parser.
    pub fn json(mut self, error: &serde_json::Error) -> Self {
        self.causes.push(not_json(error));
        self
    }

    /// Sets what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the connection failed, or the server is not ready: the same request may succeed
    /// later.
    pub fn is_connection_lost(&self) -> bool {
        self.kind == Kind::Unreachable
    }

    /// Whether a server answered with this HTTP status.
    pub fn has_status(&self, status: u16) -> bool {
        self.server.as_ref().is_some_and(|s| s.status == status)
    }

    /// The lines printed to stderr. Empty for what is not an error.
    pub fn render(&self, now: Time) -> Styled {
        let mut text = Styled::default();
        if self.message.is_empty() || self.kind == Kind::ClosedPipe {
            return text;
        }
        text.push_styled(Style::Bad, "error:");
        text.push(&format!(" {}\n", self.message));
        for cause in &self.causes {
            text.push_line(&format!("  caused by: {cause}"));
        }
        let retry_at = self.server.as_ref().and_then(|s| s.retry_at);
        let retry = retry_at.map(|at| crate::output::retry_after(now, at));
        let hints: Vec<String> = retry.into_iter().chain(self.hint.clone()).collect();
        if !hints.is_empty() {
            text.push_styled(Style::Hint, "hint:");
            text.push_line(&format!(" {}", hints.join("; ")));
        }
        if let Some(id) = self.server.as_ref().and_then(|s| s.request_id.as_ref()) {
            text.push_line(&format!("request id: {id}"));
        }
        text
    }
}

impl From<std::io::Error> for CliError {
    fn from(e: std::io::Error) -> Self {
        let kind = match e.kind() {
            std::io::ErrorKind::BrokenPipe => Kind::ClosedPipe,
            _ => Kind::Failed,
        };
        Self::new(kind, e.to_string())
    }
}

/// Why a text cannot be read as JSON of the expected form.
pub fn not_json(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Syntax => format!("not JSON: line {line}, column {column}"),
        Category::Eof => format!("the JSON ends in the middle, on line {line}"),
        Category::Data | Category::Io => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(error: &CliError) -> String {
        error.render(Time(0)).render(false)
    }

    #[test]
    fn a_text_that_is_not_json_is_said_to_be_none() {
        let reason = |text: &str| not_json(&serde_json::from_str::<Vec<u8>>(text).unwrap_err());
        assert_eq!(reason("no json"), "not JSON: line 1, column 2");
        assert_eq!(reason("[1,"), "the JSON ends in the middle, on line 1");
        assert!(
            reason("{}").starts_with("invalid type: map"),
            "{}",
            reason("{}")
        );
    }

    #[test]
    fn an_error_shows_its_causes_and_hint() {
        let inner = std::io::Error::other("disk is full");
        let error = CliError::failed("cannot write out.json")
            .source(&inner)
            .hint("free some space");
        assert_eq!(
            rendered(&error),
            "error: cannot write out.json\n  caused by: disk is full\nhint: free some space\n"
        );
        assert_eq!(error.kind.exit_code(), 1);
    }

    #[test]
    fn a_cause_that_repeats_its_source_is_shown_once() {
        let inner = std::io::Error::other("no such file");
        let outer = std::io::Error::other(format!("cannot open x: {inner}"));
        let error = CliError::failed("cannot start")
            .source(&outer)
            .source(&inner);
        assert_eq!(error.causes, ["cannot open x: no such file"]);
    }

    #[test]
    fn every_kind_has_its_documented_exit_code() {
        let codes = [
            (Kind::ClosedPipe, 0),
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::NotFound, 3),
            (Kind::NotAllowed, 4),
            (Kind::Limit, 5),
            (Kind::Unreachable, 6),
            (Kind::Found, 10),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }

    #[test]
    fn findings_and_closed_pipes_print_nothing() {
        let closed = CliError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(
            (rendered(&closed).as_str(), closed.kind.exit_code()),
            ("", 0)
        );
        assert_eq!(rendered(&CliError::found()), "");
    }
}
