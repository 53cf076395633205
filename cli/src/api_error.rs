//! Maps the API's errors to errors of commands. Decisions depend on the error's code, never on its
//! text.

use kgrca_core::api::ErrorBody;
use kgrca_core::model::Time;

use crate::client::As;
use crate::error::{CliError, Kind, ServerError};

/// What the client knows about a refused request.
pub(crate) struct Refused<'a> {
    /// HTTP status.
    pub(crate) status: u16,
    /// Path of the request.
    pub(crate) path: &'a str,
    /// Whose key it was made with.
    pub(crate) who: As,
    /// When the same request may succeed, by `Retry-After`.
    pub(crate) retry_at: Option<Time>,
    /// The body, if it is an error of the API; a proxy in between may answer anything.
    pub(crate) body: Option<ErrorBody>,
}

impl From<Refused<'_>> for CliError {
    fn from(refused: Refused<'_>) -> Self {
        let Refused {
            status,
            path,
            who,
            retry_at,
            body,
        } = refused;
        let mut server = ServerError {
            status,
            request_id: None,
            retry_at,
        };
        let mut error = match body.map(|b| b.error) {
            Some(detail) => {
                server.request_id = Some(detail.request_id).filter(|id| !id.is_empty());
                let mut error = Self::new(kind(&detail.code, status), detail.message);
                let given = detail.hint.filter(|hint| !names_route(hint));
                error.hint = match detail.code.as_str() {
                    // The server's hint names headers.
                    "unauthenticated" => hint(&detail.code, path, who),
                    code => given.or_else(|| hint(code, path, who)),
                };
                error
            }
            None => Self::new(
                kind("", status),
                format!("the server answered HTTP {status}"),
            ),
        };
        error.server = Some(Box::new(server));
        error
    }
}

/// The kind of an API error; by its status when the code is unknown, as from a newer server.
fn kind(code: &str, status: u16) -> Kind {
    match code {
        "invalid_request" | "conflict" | "payload_too_large" => Kind::Usage,
        "unauthenticated" | "forbidden" | "network_not_allowed" => Kind::NotAllowed,
        "not_found" => Kind::NotFound,
        "rate_limited" | "quota_exceeded" => Kind::Limit,
        "unavailable" | "request_timeout" => Kind::Unreachable,
        _ => kind_of_status(status),
    }
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        400 | 405 | 409 | 413 => Kind::Usage,
        401 | 403 => Kind::NotAllowed,
        404 => Kind::NotFound,
        429 => Kind::Limit,
        408 | 502..=504 => Kind::Unreachable,
        _ => Kind::Failed,
    }
}

/// Whether a hint of the server is for those who call the API themselves.
fn names_route(hint: &str) -> bool {
    ["GET /", "POST /", "/api/v1/"]
        .iter()
        .any(|route| hint.contains(route))
}

/// Routes and the command that lists what exists below them; the first match counts.
const LISTS: [(&str, &str); 9] = [
    ("/api/v1/incidents/", "kgrca incident list"),
    ("/api/v1/rca", "kgrca incident list"),
    ("/api/v1/resources/", "kgrca resource list"),
    ("/api/v1/graph/", "kgrca resource list"),
    ("/api/v1/keys/", "kgrca key list"),
    ("/api/v1/agents/", "kgrca agent list"),
    ("/api/v1/admin/keys/", "kgrca key list --operator"),
    ("/api/v1/admin/sagas/", "kgrca saga list"),
    ("/api/v1/admin/jobs/", "kgrca job list"),
];

/// The command that lists what a path names.
fn list(path: &str) -> Option<String> {
    let mut tenant = path.strip_prefix("/api/v1/admin/clients/")?.split('/');
    match (tenant.next(), tenant.next()) {
        (Some(id), Some("keys")) => Some(format!("kgrca key list --tenant {id}")),
        _ => Some("kgrca tenant list".to_owned()),
    }
}

/// The command that helps with an error.
fn hint(code: &str, path: &str, who: As) -> Option<String> {
    match code {
        "unauthenticated" => {
            let variable = who.variable();
            let other = "or choose another context with `kgrca context use`";
            Some(match who {
                As::Tenant => format!("set {variable}, {other}"),
                // Another key in the settings ends the one before, and a rotation does later.
                As::Operator => format!(
                    "set {variable} to the current key, which is in `operator.key` in the \
                     server's data directory or its own KGRCA_OPERATOR_KEY (`kgrca up` stores \
                     it again), {other}"
                ),
            })
        }
        "not_found" => {
            let known = LISTS.iter().find(|(route, _)| path.starts_with(route));
            known
                .map(|(_, command)| (*command).to_owned())
                .or_else(|| list(path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::api::ErrorDetail;

    use super::*;

    /// An answer of the API as a user sees it, and the exit code.
    fn shown(status: u16, code: &str, path: &str, hint: Option<&str>) -> (String, u8) {
        let detail = ErrorDetail {
            code: code.to_owned(),
            message: "message".to_owned(),
            hint: hint.map(str::to_owned),
            request_id: "r1".to_owned(),
        };
        let error = CliError::from(Refused {
            status,
            path,
            who: As::Tenant,
            retry_at: None,
            body: Some(ErrorBody { error: detail }),
        });
        let text = error.render(Time(0)).render(false);
        (text, error.kind.exit_code())
    }

    #[test]
    fn each_code_of_the_api_has_an_exit_code() {
        let codes = [
            (400, "invalid_request", 2),
            (401, "unauthenticated", 4),
            (403, "forbidden", 4),
            (403, "network_not_allowed", 4),
            (404, "not_found", 3),
            (409, "conflict", 2),
            (408, "request_timeout", 6),
            (413, "payload_too_large", 2),
            (429, "rate_limited", 5),
            (429, "quota_exceeded", 5),
            (503, "unavailable", 6),
            (500, "internal", 1),
            (429, "of_a_newer_server", 5),
        ];
        for (status, code, exit) in codes {
            assert_eq!(shown(status, code, "/api/v1/x", None).1, exit, "{code}");
        }
    }

    #[test]
    fn not_found_names_the_command_that_lists() {
        let hint = Some("GET /api/v1/incidents lists them");
        let (text, _) = shown(404, "not_found", "/api/v1/incidents/inc-9", hint);
        assert_eq!(
            text,
            "error: message\nhint: kgrca incident list\nrequest id: r1\n"
        );
        let path = "/api/v1/admin/clients/client-a-000000";
        let (text, _) = shown(404, "not_found", path, None);
        assert!(text.contains("hint: kgrca tenant list"), "{text}");
        let key = format!("{path}/keys/key_1/rotate");
        let (text, _) = shown(404, "not_found", &key, None);
        let list = "hint: kgrca key list --tenant client-a-000000\n";
        assert!(text.contains(list), "{text}");
    }

    #[test]
    fn a_hint_of_the_server_that_names_a_command_is_kept() {
        let hint = Some("`kgrca fault list` shows all fault types");
        let path = "/api/v1/incidents/inc-9/feedback";
        let (text, _) = shown(404, "not_found", path, hint);
        assert!(text.contains("hint: `kgrca fault list`"), "{text}");
    }

    #[test]
    fn a_missing_key_names_its_variable() {
        let (text, _) = shown(401, "unauthenticated", "/api/v1/stats", None);
        assert!(text.contains("hint: set KGRCA_API_KEY, or"), "{text}");
    }

    #[test]
    fn other_hints_are_the_servers() {
        let hint = Some("send smaller batches");
        let (text, _) = shown(413, "payload_too_large", "/api/v1/ingest/logs", hint);
        assert!(text.contains("hint: send smaller batches"), "{text}");
    }

    #[test]
    fn an_answer_of_something_else_shows_its_status() {
        let error = CliError::from(Refused {
            status: 502,
            path: "/api/v1/stats",
            who: As::Tenant,
            retry_at: None,
            body: None,
        });
        assert_eq!(error.message, "the server answered HTTP 502");
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.has_status(502));
    }
}
