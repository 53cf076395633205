//! What a request holds until its answer was sent.

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use http_body_util::BodyExt;

/// Gives something back when the answer was sent, or its client is gone.
pub fn until_sent<T: Send + 'static>(response: Response, held: T) -> Response {
    let length = response.body().size_hint().exact();
    let mut response = response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_sent = &held;
            frame
        }))
    });
    // A wrapped body no longer knows its length. Answers without a body must not name one.
    let has_body = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if let Some(length) = length.filter(|_| has_body) {
        let headers = response.headers_mut();
        headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    response
}
