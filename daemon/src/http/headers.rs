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

/// Whether a path holds text once it is decoded. The framework refuses others in plain text.
fn is_text(path: &str) -> bool {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).map(|hex| u8::from_str_radix(hex, 16));
        if let Some(Ok(byte)) = byte {
            decoded.push(byte);
            decoded.extend_from_slice(&part.as_bytes()[2..]);
        } else {
            decoded.push(b'%');
            decoded.extend_from_slice(part.as_bytes());
        }
    }
    std::str::from_utf8(&decoded).is_ok()
}

fn check(request: &Request) -> Result<()> {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        // A proxy in front may have taken the other one.
        return Err(Error::invalid("`Host` must be sent once"));
    }
    // PostgreSQL fails on a NUL in a text, in whichever parameter.
    if request.uri().to_string().contains("%00") {
        return Err(Error::invalid("the URL contains the character U+0000"));
    }
    if !is_text(request.uri().path()) {
        return Err(Error::invalid("the path is not valid UTF-8"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text_once_it_is_decoded() {
        for path in ["/rca", "/rca/a%20b", "/rca/%c3%a9", "/rca/100%", "/rca/%zz"] {
            assert!(is_text(path), "{path}");
        }
        for path in ["/rca/%ff", "/rca/%C3", "/%c3%28/health"] {
            assert!(!is_text(path), "{path}");
        }
    }
}
