//! Answers that can be large: only some of a tenant are made at a time, they are encoded off the
//! async threads, and their bytes count until the caller has taken them.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;
use crate::environment::blocking;
use crate::usecases::budgets::Held;
use crate::usecases::{App, Error, Result};

/// How a handler makes an answer that can be large.
pub struct LargeAnswer(Arc<Held>);

impl FromRequestParts<Arc<App>> for LargeAnswer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        // Every route behind the middleware has one.
        let held = parts.extensions.get::<Arc<Held>>().cloned();
        let missing = || Error::unauthenticated("this endpoint requires an API key");
        Ok(Self(held.ok_or_else(missing)?))
    }
}

impl LargeAnswer {
    /// Makes the value when it is the request's turn, and encodes it.
    ///
    /// # Errors
    /// Those of making it; `rate_limited` and `unavailable` as for [`LargeAnswer::encode`].
    pub async fn make<T>(
        &self,
        value: impl Future<Output = Result<T>>,
    ) -> Result<Response, ApiError>
    where
        T: Serialize + Send + 'static,
    {
        let _turn = self.0.turn().await?;
        self.encode(value.await?).await
    }

    /// Encodes a value.
    ///
    /// # Errors
    /// `rate_limited` when the tenant has not taken its answers so far; `unavailable` when all
    /// together have not.
    pub async fn encode<T>(&self, value: T) -> Result<Response, ApiError>
    where
        T: Serialize + Send + 'static,
    {
        let encoded = blocking(move || serde_json::to_vec(&value)).await;
        let json = encoded.map_err(Error::internal)?.map_err(Error::internal)?;
        self.0.grow_answer(json.len())?;
        Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
    }
}
