//! What holds for the head of every request, and for the headers of every answer.

use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::usecases::{Error, Result};

/// Answers are data: no browser may run, frame, guess the type of, or keep them. A page that needs
/// more sets its own policy.
const SECURITY: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Refuses requests that are ambiguous or that no store could answer, and adds the security
/// headers.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(e) => ApiError::from(e).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn check(request: &Request) -> Result<()> {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        // A proxy in front may have taken the other one.
        return Err(Error::invalid("`Host` must be sent once"));
    }
    // PostgreSQL fails on a NUL in a text, in whichever parameter.
    if request.uri().to_string().contains("%00") {
        return Err(Error::invalid("the URL has the character U+0000"));
    }
    Ok(())
}
