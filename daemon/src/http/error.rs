//! Errors on the wire: a status for each code, and the body.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kgrca_core::api::{ErrorBody, ErrorDetail};
use kgrca_core::model::Time;

use crate::usecases::{Code, Error};

/// The errors that every endpoint can answer with, for the API document.
#[derive(utoipa::IntoResponses)]
#[expect(
    dead_code,
    reason = "only described, never built: handlers answer with `ApiError`"
)]
pub enum ApiErrors {
    /// The request is invalid
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// The API key is missing, unknown, expired or revoked
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// The key may not do this or not be used from this network, or the tenant is not served
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// Not found
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The body arrived too slowly
    #[response(status = 408)]
    TooSlow(ErrorBody),
    /// The current state does not allow it
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// A rate or a quota is used up; `Retry-After` says when to retry
    #[response(status = 429)]
    Limited(ErrorBody),
    /// Internal error
    #[response(status = 500)]
    Internal(ErrorBody),
    /// A store is not available; retry later
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// An error that a handler answers with.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    error: Error,
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidRequest => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::NetworkNotAllowed => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Conflict => StatusCode::CONFLICT,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Code::RateLimited | Code::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self {
            status: status(error.code),
            error,
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        // What the framework writes before the colon means nothing to a caller.
        let reason = match text.split_once("query string: ") {
            Some((_, reason)) => reason,
            None => &text,
        };
        Error::invalid(format!("invalid query: {reason}"))
            .hint("GET /docs lists the parameters of every endpoint")
            .into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            let code = self.error.code.as_str();
            tracing::error!(code, error = %self.error, "request failed");
        }
        let code = self.error.code;
        let error = ErrorDetail {
            code: code.as_str().to_owned(),
            message: self.error.message,
            hint: self.error.hint,
            request_id: super::auth::current_request_id(),
        };
        let mut response = (self.status, Json(ErrorBody { error })).into_response();
        // For the use case that records what was refused.
        response.extensions_mut().insert(code);
        if let Some(seconds) = self.error.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

/// A path that does not exist. The answer is the same with and without a key.
pub async fn unknown_route() -> ApiError {
    Error::not_found("no such endpoint")
        .hint("GET /openapi.json lists all endpoints")
        .into()
}

/// A method that a path does not have.
pub async fn unknown_method() -> ApiError {
    let error = Error::invalid("method not allowed").hint("GET /openapi.json lists all endpoints");
    ApiError {
        status: StatusCode::METHOD_NOT_ALLOWED,
        error,
    }
}

/// A timestamp among the parameters: RFC 3339.
pub fn timestamp(parameter: &str, text: Option<&str>) -> Result<Option<Time>, Error> {
    let parse = |text: &str| match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Time(time.as_microsecond())),
        Err(_) => Err(Error::invalid(format!(
            "`{parameter}`: invalid timestamp `{text}`, expected RFC 3339"
        ))),
    };
    text.map(parse).transpose()
}
