//! What a request holds until its answer was sent.

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use tokio_stream::StreamExt;

/// Gives something back when the answer was sent, but for the last bytes in the connection's
/// buffer, or its client is gone.
pub fn until_sent<T: Send + 'static>(response: Response, held: T) -> Response {
    if response.body().is_end_stream() {
        return response;
    }
    let length = response.body().size_hint().exact();
    // A connection drops a body of which it knows that nothing follows, while all of it may still
    // be in its buffer. Of a stream it asks for more, once there is room in the buffer.
    let mut response = response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |data| {
            let _until_sent = &held;
            data
        }))
    });
    // A stream does not know its length. Answers without a body must not name one.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_buffered_is_not_sent_yet() {
        let held = Arc::new(());
        let answer = until_sent("answer".into_response(), Arc::clone(&held));
        assert_eq!(answer.headers()[CONTENT_LENGTH], "6");
        let mut body = answer.into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "answer");
        assert!(!body.is_end_stream(), "the connection would drop it");
        assert!(body.frame().await.is_none());
        assert_eq!(Arc::strong_count(&held), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn an_answer_without_a_body_holds_nothing() {
        let held = Arc::new(());
        let answer = until_sent(StatusCode::NO_CONTENT.into_response(), Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(!answer.headers().contains_key(CONTENT_LENGTH));
    }
}
