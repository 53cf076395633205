//! Bodies of requests: raw bytes, or a JSON object.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::arrival::Due;
use super::decompress::{self, Compressed};
use super::error::ApiError;
use super::json_check::look_through;
use crate::environment::blocking;
use crate::usecases::budgets::Held;
use crate::usecases::{Actor, App, Error, authentication};

/// The largest JSON object that a request has as its body.
pub const MAX_JSON: usize = 1 << 20;
/// Bodies beyond this are parsed off the async threads, which serve all tenants.
const PARSED_AT_ONCE: usize = 16 << 10;

/// A body as it was sent, decompressed, up to the size that the daemon accepts.
pub struct RawBody {
    pub bytes: Bytes,
    /// What its request holds.
    pub held: Option<Arc<Held>>,
}

impl FromRequest<Arc<App>> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Ok(receive(request, app, max_body(app)).await?)
    }
}

fn max_body(app: &App) -> usize {
    (app.settings.max_body_mib as usize) << 20
}

/// Receives a body of at most `limit` bytes after decompression.
///
/// # Errors
/// Also when the caller lost its rights meanwhile: a body may take a minute to arrive.
async fn receive(request: Request, app: &App, limit: usize) -> Result<RawBody, Error> {
    let (parts, mut body) = request.into_parts();
    let held = parts.extensions.get::<Arc<Held>>().cloned();
    let mut bytes = BytesMut::new();
    let mut due = Due::start(Instant::now());
    while let Some(frame) = due.in_time(body.frame()).await? {
        let unreadable = |e| Error::invalid(format!("the body cannot be read: {e}"));
        let Ok(data) = frame.map_err(unreadable)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Err(decompress::too_large(limit));
        }
        if let Some(held) = &held {
            held.grow_body(data.len())?;
        }
        due.arrived(data.len(), Instant::now());
        bytes.extend_from_slice(&data);
    }
    if let Some(actor) = parts.extensions.get::<Actor>() {
        authentication::check_again(app, actor).await?;
    }
    let body = Compressed {
        bytes: bytes.freeze(),
        limit,
        held: held.clone(),
    };
    let bytes = body.decompress(&parts.headers).await?;
    Ok(RawBody { bytes, held })
}

/// A JSON object of at most so many bytes. Nothing else is accepted, although serde would also read
/// a struct from an array.
pub struct JsonBody<T, const LIMIT: usize = MAX_JSON>(pub T);

impl<T, const LIMIT: usize> FromRequest<Arc<App>> for JsonBody<T, LIMIT>
where
    T: DeserializeOwned + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let RawBody { bytes, held } = receive(request, app, LIMIT.min(max_body(app))).await?;
        if bytes.len() <= PARSED_AT_ONCE {
            return Ok(Self(parse(&bytes, held.as_deref())?));
        }
        let processor = match &held {
            Some(held) => Some(held.processor(bytes.len()).await?),
            None => None,
        };
        let read = move || {
            let _processor = processor;
            parse(&bytes, held.as_deref())
        };
        let parsed = blocking(read).await.map_err(Error::internal)?;
        Ok(Self(parsed?))
    }
}

/// Parses a body. Its values count like its bytes as what the request holds.
fn parse<T: DeserializeOwned>(body: &[u8], held: Option<&Held>) -> Result<T, Error> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("the body must be a JSON object"));
    }
    let holds = look_through(body)?;
    if let Some(held) = held {
        held.grow_body(holds.memory)?;
    }
    serde_json::from_slice(body)
        .or_else(|e| {
            let read = holds.has_whole_floats.then(|| with_whole_numbers(body));
            read.flatten().ok_or(e)
        })
        .map_err(|e| Error::invalid(format!("invalid body: {e}")))
}

/// Parses a body with integers written as `2.0`: integers to JSON Schema, but not to serde.
fn with_whole_numbers<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let mut value = serde_json::from_slice(body).ok()?;
    round(&mut value);
    serde_json::from_value(value).ok()
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
        for wrong in ["42.5", "-1.0", "1e300", "\"42\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
