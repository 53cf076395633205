//! A JSON object as the body of a request.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;

/// What a caller gives as JSON. Only an object is one: serde would also read a struct from an
/// array.
pub struct Given<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|e| ApiError::invalid(e.body_text()))?;
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(ApiError::invalid("the body is not a JSON object"));
        }
        if serde_json::from_slice(&body).is_ok_and(|value| is_beyond(&value)) {
            return Err(ApiError::invalid(
                "the body: a number is greater than 9223372036854775807",
            ));
        }
        let read = serde_json::from_slice(&body).or_else(|e| with_whole_numbers(&body).ok_or(e));
        read.map(Self)
            .map_err(|e| ApiError::invalid(format!("the body: {e}")))
    }
}

/// Reads a body whose whole numbers have a point: JSON Schema calls `2.0` an integer, serde does
/// not.
fn with_whole_numbers<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let mut value = serde_json::from_slice(body).ok()?;
    round(&mut value);
    serde_json::from_value(value).ok()
}

/// Whether a number does not fit into the 64 bits with a sign that the API's document names.
fn is_beyond(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_u64().is_some_and(|n| n > i64::MAX as u64),
        Value::Array(items) => items.iter().any(is_beyond),
        Value::Object(fields) => fields.values().any(is_beyond),
        _ => false,
    }
}

fn round(value: &mut Value) {
    // Beyond it not every whole number has a form of its own.
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
    fn a_whole_number_may_have_a_point_and_nothing_behind_it() {
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
