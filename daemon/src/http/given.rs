//! A JSON object as the body of a request.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// What a caller gives as JSON. Only an object is one: serde would also read a struct from an array.
pub struct Given<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await.map_err(|e| ApiError::invalid(e.body_text()))?;
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(ApiError::invalid("the body is not a JSON object"));
        }
        serde_json::from_slice(&body).map(Self).map_err(|e| ApiError::invalid(format!("the body: {e}")))
    }
}
