//! Errors on the wire.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{ErrorBody, ErrorDetail};
use kgrca_core::model::Time;
use kgrca_core::storage::{self, ErrorKind};

/// An error that a handler answers with.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    retry_after: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 400 for a query that does not fit the route.
    pub fn query(rejection: &QueryRejection) -> Self {
        let text = rejection.body_text();
        // The framework's own words before the colon say nothing to a caller.
        let why = text
            .split_once("query string: ")
            .map_or(&*text, |(_, why)| why);
        Self::invalid(format!("the query cannot be read: {why}"))
            .hint("/docs lists what each route takes")
    }

    /// 401.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
            .hint("send a key as `X-API-Key` or `Authorization: Bearer`")
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
    }

    /// 429 with the seconds after which another try may succeed.
    pub fn limited(code: &'static str, message: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after.max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
        }
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<storage::Error> for ApiError {
    fn from(e: storage::Error) -> Self {
        let mut error = match e.kind {
            ErrorKind::Conflict => Self::conflict(e.message),
            ErrorKind::Refused => Self::invalid(e.message),
            ErrorKind::Full | ErrorKind::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", e.message)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.message),
        };
        error.hint = e.hint;
        error
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(code = self.code, message = %self.message, "request failed");
        }
        let request_id = super::guard::current_request_id();
        let error = ErrorDetail {
            code: self.code.to_owned(),
            message: self.message,
            hint: self.hint,
            request_id,
        };
        let mut response = (self.status, Json(ErrorBody { error })).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

/// A path that does not exist. Nothing about it is told to those without a key.
pub async fn unknown_route() -> ApiError {
    ApiError::not_found("no such route").hint("GET /openapi.json lists all routes")
}

/// A method that a path does not have.
pub async fn unknown_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request",
        "this route does not have this method",
    )
    .hint("GET /openapi.json lists all routes")
}

/// A time that a caller may give: RFC 3339.
pub fn instant(name: &str, given: Option<&str>) -> Result<Option<Time>, ApiError> {
    let read = |text: &str| {
        let time = text
            .parse::<jiff::Timestamp>()
            .map_err(|_| ApiError::invalid(format!("`{name}`: `{text}` is no RFC 3339 time")))?;
        Ok(Time(time.as_microsecond()))
    };
    given.map(read).transpose()
}

/// A number that a caller may choose, from 1 to `most`.
pub fn within(
    name: &str,
    chosen: Option<usize>,
    usual: usize,
    most: usize,
) -> Result<usize, ApiError> {
    match chosen {
        None => Ok(usual),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(n) => Err(ApiError::invalid(format!(
            "`{name}`: {n} is not from 1 to {most}"
        ))),
    }
}
