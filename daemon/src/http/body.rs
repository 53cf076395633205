//! Bodies of requests: raw bytes, or a JSON object.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decompress::{self, Compressed};
use super::error::ApiError;
use crate::usecases::budgets::Held;
use crate::usecases::{App, Error};

/// A body as it was sent, decompressed, up to the size that the daemon accepts.
pub struct RawBody(pub Bytes);

impl FromRequest<Arc<App>> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let limit = (app.settings.max_body_mib as usize) << 20;
        let held = request.extensions().get::<Arc<Held>>().cloned();
        let mut body = request.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let unreadable = |e| Error::invalid(format!("the body cannot be read: {e}"));
            let Ok(data) = frame.map_err(unreadable)?.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > limit {
                return Err(decompress::too_large(limit).into());
            }
            if let Some(held) = &held {
                held.grow_body(data.len())?;
            }
            bytes.extend_from_slice(&data);
        }
        let body = Compressed {
            bytes: bytes.freeze(),
            limit,
            held,
        };
        Ok(Self(body.decompress(&headers).await?))
    }
}

/// A JSON object. Nothing else is accepted, although serde would also read a struct from an array.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let RawBody(body) = RawBody::from_request(request, app).await?;
        Ok(Self(parse(&body)?))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("the body must be a JSON object"));
    }
    if serde_json::from_slice(body).is_ok_and(|value| has_nul(&value)) {
        return Err(Error::invalid(
            "invalid body: a text has the character U+0000",
        ));
    }
    if serde_json::from_slice(body).is_ok_and(|value| is_beyond(&value)) {
        return Err(Error::invalid(
            "invalid body: a number is greater than 9223372036854775807",
        ));
    }
    serde_json::from_slice(body)
        .or_else(|e| with_whole_numbers(body).ok_or(e))
        .map_err(|e| Error::invalid(format!("invalid body: {e}")))
}

/// Parses a body with integers written as `2.0`: integers to JSON Schema, but not to serde.
fn with_whole_numbers<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let mut value = serde_json::from_slice(body).ok()?;
    round(&mut value);
    serde_json::from_value(value).ok()
}

/// Whether a number does not fit into an `i64`, which the API document promises.
fn is_beyond(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_u64().is_some_and(|n| n > i64::MAX as u64),
        Value::Array(items) => items.iter().any(is_beyond),
        Value::Object(fields) => fields.values().any(is_beyond),
        _ => false,
    }
}

/// Whether a text has a NUL, which stores cannot keep.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn round(value: &mut Value) {
    // 2^53: larger floats do not tell neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(n) if n.is_f64() => {
            if let Some(whole) = n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT) {
                *value = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(round),
        Value::Object(fields) => fields.values_mut().for_each(round),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::billing::Overrides;

    use super::*;

    #[test]
    fn an_integer_may_be_written_with_a_fraction_of_zero() {
        let read = |text: &str| {
            with_whole_numbers::<Overrides>(format!(r#"{{"clusters":{text}}}"#).as_bytes())
                .map(|o| o.clusters)
        };
        assert_eq!(read("42.0"), Some(Some(42)));
        assert_eq!(read("null"), Some(None));
        assert!(is_beyond(
            &serde_json::json!({"a": [1, 9_223_372_036_854_775_808_u64]})
        ));
        assert!(!is_beyond(&serde_json::json!({"a": [i64::MAX, 1e300]})));
        for wrong in ["42.5", "-1.0", "1e300", "\"42\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
