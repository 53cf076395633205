//! The daemon's API as the commands call it.

mod tls;

use std::time::{Duration, Instant};

use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api_error::Refused;
use crate::context::{Context, Secret};
use crate::error::{CliError, Kind, Result};
use crate::output::now;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of an answer that is kept in memory.
const MAX_ANSWER: usize = 64 << 20;
/// Maximum size of an error, and of an event of a stream.
const MAX_MESSAGE: usize = 1 << 20;

/// Whose key a call is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// A tenant's.
    Tenant,
    /// The operator's.
    Operator,
}

impl As {
    /// The environment variable that holds the key.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Tenant => "KGRCA_API_KEY",
            Self::Operator => "KGRCA_OPERATOR_KEY",
        }
    }

    /// The key, as messages name it.
    fn key(self) -> &'static str {
        match self {
            Self::Tenant => "a tenant's API key",
            Self::Operator => "the operator's key",
        }
    }
}

/// How a request that creates something is repeated while the server is away.
pub struct Retry<'a> {
    /// Idempotency key: under it, repeating the request resumes the same operation.
    pub key: &'a str,
    /// For how long the request is repeated.
    pub patience: Duration,
    /// Called with the error before each repetition.
    pub on_retry: &'a mut dyn FnMut(&str),
}

/// A server with keys for it.
pub struct Client {
    context: Context,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// A client for a context. Nothing is sent yet.
    pub fn new(context: Context) -> Result<Self> {
        Self::with_timeout(context, TIMEOUT)
    }

    /// A client whose requests may take at most `timeout`.
    pub fn with_timeout(context: Context, timeout: Duration) -> Result<Self> {
        check_url(&context.url)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .timeout(timeout)
            // A redirect would send the key, and perhaps the records, to another server.
            .redirect(Policy::none());
        for certificate in tls::trusted()? {
            http = http.add_root_certificate(certificate);
        }
        if let Some(identity) = tls::identity()? {
            http = http.identity(identity);
        }
        let http = http
            .build()
            .map_err(|e| CliError::failed("cannot set up the HTTP client").source(&e))?;
        Ok(Self {
            context,
            http,
            runtime,
        })
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.context.url
    }

    /// Whether there is a key of this kind.
    pub fn has_key(&self, who: As) -> bool {
        self.key(who).is_ok()
    }

    /// Sends a GET request.
    pub fn get<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T> {
        self.read(who, self.request(Method::GET, who, path)?.query(query))
    }

    /// Sends a GET request for what differs from the answer with this etag; `None` when nothing
    /// does.
    pub fn get_if_changed<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        query: &[(&str, String)],
        etag: &mut Option<String>,
    ) -> Result<Option<T>> {
        let mut request = self.request(Method::GET, who, path)?.query(query);
        if let Some(known) = etag.as_deref() {
            request = request.header(IF_NONE_MATCH, known);
        }
        self.runtime.block_on(async {
            let response = self.checked(who, request).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            let tag = response.headers().get(ETAG);
            *etag = tag.and_then(|t| t.to_str().ok()).map(str::to_owned);
            self.decoded(response).await.map(Some)
        })
    }

    /// Sends a value as JSON.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        who: As,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.read(who, self.request(method, who, path)?.json(body))
    }

    /// Posts a value as JSON, again and again while the server cannot be reached.
    pub fn post_until_answered<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        body: &impl Serialize,
        retry: Retry<'_>,
    ) -> Result<T> {
        // A server that was never there is reported at once; only one that went away is waited for.
        self.call(Method::GET, who, "/livez")?;
        let deadline = Instant::now() + retry.patience;
        loop {
            let request = self
                .request(Method::POST, who, path)?
                .header("idempotency-key", retry.key)
                .json(body);
            match self.read(who, request) {
                // An answer of the server does not change by repeating the request.
                Err(e)
                    if e.kind == Kind::Unreachable
                        && e.server.is_none()
                        && Instant::now() < deadline =>
                {
                    (retry.on_retry)(&e.message);
                    std::thread::sleep(Duration::from_secs(1));
                }
                other => return other,
            }
        }
    }

    /// Posts JSON that is already serialized, as the tenant.
    pub fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T> {
        self.post_as(As::Tenant, path, "application/json", body)
    }

    /// Posts a value as the tenant; a repetition with the same key within a day does nothing.
    pub fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let request = self.request(Method::POST, As::Tenant, path)?;
        self.read(
            As::Tenant,
            request.header("idempotency-key", key).json(body),
        )
    }

    /// Posts lines of JSON, as the operator.
    pub fn post_lines<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T> {
        self.post_as(As::Operator, path, "application/x-ndjson", body)
    }

    fn post_as<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<T> {
        let request = self
            .request(Method::POST, who, path)?
            .header("content-type", content_type);
        self.read(who, request.body(body))
    }

    /// Reads a long body as the operator, chunk by chunk. Fails when it is incomplete.
    pub fn download(&self, path: &str, mut each: impl FnMut(&[u8]) -> Result) -> Result {
        let request = self
            .request(Method::GET, As::Operator, path)?
            .timeout(Duration::from_hours(24));
        self.runtime.block_on(async {
            let mut response = self.checked(As::Operator, request).await?;
            let broken = |e: reqwest::Error| {
                CliError::failed("the connection closed before the response was complete")
                    .source(&e)
                    .hint("see the kgrcad log; run `kgrca doctor` to check its stores")
            };
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                each(&chunk)?;
            }
            Ok(())
        })
    }

    /// Reads an open route as text, whatever its status.
    pub fn text(&self, path: &str) -> Result<String> {
        let request = self.request(Method::GET, As::Operator, path)?;
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|e| self.unreachable(&e))?;
            let bytes = self.body(response, MAX_MESSAGE).await?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    /// Sends a request whose response has no body.
    pub fn call(&self, method: Method, who: As, path: &str) -> Result {
        let request = self.request(method, who, path)?;
        self.runtime
            .block_on(async { self.checked(who, request).await.map(|_| ()) })
    }

    /// Follows a stream of server-sent events until it ends. `each` may call the server.
    /// `last_id` is the ID of the last event, from which the stream continues.
    pub fn follow(
        &self,
        path: &str,
        last_id: &mut Option<String>,
        mut each: impl FnMut(&str) -> Result,
    ) -> Result {
        let mut request = self
            .request(Method::GET, As::Tenant, path)?
            .timeout(Duration::from_hours(8760));
        if let Some(id) = last_id {
            request = request.header("last-event-id", &*id);
        }
        let mut response = self.runtime.block_on(self.checked(As::Tenant, request))?;
        let mut buffer = Vec::new();
        let mut event_id = None;
        loop {
            let chunk = self.runtime.block_on(response.chunk());
            let Some(chunk) = chunk.map_err(|e| self.unreachable(&e))? else {
                return Ok(());
            };
            buffer.extend_from_slice(&chunk);
            if buffer.len() > MAX_MESSAGE {
                return Err(too_large(MAX_MESSAGE));
            }
            while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end();
                if let Some(data) = line.strip_prefix("data: ") {
                    each(data)?;
                } else if let Some(id) = line.strip_prefix("id: ") {
                    event_id = Some(id.to_owned());
                } else if line.is_empty() && event_id.is_some() {
                    *last_id = event_id.take();
                }
            }
        }
    }

    fn request(&self, method: Method, who: As, path: &str) -> Result<RequestBuilder> {
        let url = format!("{}{path}", self.context.url.trim_end_matches('/'));
        let request = self.http.request(method, url);
        if !path.starts_with("/api/") {
            return Ok(request);
        }
        let key = self.key(who)?.expose();
        // The type of headers takes any bytes beyond ASCII; the server does not.
        let is_sendable = key.bytes().all(|b| b.is_ascii_graphic());
        let key = HeaderValue::from_str(key).ok().filter(|_| is_sendable);
        let key = key.ok_or_else(|| {
            let variable = who.variable();
            let message = format!("invalid characters in {}", who.key());
            CliError::usage(message).hint(format!(
                "keys have letters, digits and `_` only: check {variable}, or the key of the \
                 context (`kgrca config show`)"
            ))
        })?;
        Ok(request.header("x-api-key", key))
    }

    fn key(&self, who: As) -> Result<&Secret> {
        let key = match who {
            As::Tenant => &self.context.api_key,
            As::Operator => &self.context.operator_key,
        };
        let whose = who.key();
        key.as_ref().ok_or_else(|| {
            let hint = format!(
                "set {}, or add the key with `kgrca context add`",
                who.variable()
            );
            CliError::new(Kind::NotAllowed, format!("this command needs {whose}")).hint(hint)
        })
    }

    fn read<T: DeserializeOwned>(&self, who: As, request: RequestBuilder) -> Result<T> {
        self.runtime.block_on(async {
            let response = self.checked(who, request).await?;
            self.decoded(response).await
        })
    }

    /// The value of an answer; one without a body is `null`.
    async fn decoded<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let bytes = self.body(response, MAX_ANSWER).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).map_err(|e| {
            CliError::failed("unexpected response from the server")
                .json(&e)
                .hint("compare `kgrca version` with the server's version in `kgrca doctor`")
        })
    }

    async fn checked(&self, who: As, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        if status.is_redirection() {
            return Err(redirected(&self.context.url, &response));
        }
        let path = response.url().path().to_owned();
        let retry_at = retry_at(&response);
        let bytes = self.body(response, MAX_MESSAGE).await.unwrap_or_default();
        Err(CliError::from(Refused {
            status: status.as_u16(),
            path: &path,
            who,
            retry_at,
            body: serde_json::from_slice(&bytes).ok(),
        }))
    }

    /// The body of an answer, which a server must not fill memory with.
    async fn body(&self, mut response: Response, max: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if body.len() + chunk.len() > max {
                return Err(too_large(max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, e: &reqwest::Error) -> CliError {
        let message = format!("cannot reach {}", self.context.url);
        let mut error = CliError::new(Kind::Unreachable, message);
        // The outermost error only repeats the URL.
        if let Some(source) = std::error::Error::source(e) {
            error = error.source(source);
        }
        let hint = tls::hint(&error.causes.join(": "));
        error.hint(hint.unwrap_or_else(|| {
            "check it with `kgrca doctor`, or start a local server with `kgrca up`".to_owned()
        }))
    }
}

/// Checks the form of a server's URL.
pub fn check_url(url: &str) -> Result {
    let invalid =
        |hint: &str| Err(CliError::usage(format!("invalid server URL `{url}`")).hint(hint));
    let parsed = reqwest::Url::parse(url).ok();
    let Some(parsed) = parsed.filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
    else {
        return invalid("expected http://HOST:PORT or https://HOST");
    };
    if parsed.path().trim_end_matches('/').ends_with("/api/v1") {
        return invalid("leave out `/api/v1`: the commands add it");
    }
    Ok(())
}

fn too_large(max: usize) -> CliError {
    CliError::failed(format!("the answer is larger than {} MiB", max >> 20))
        .hint("ask for less, for example with --limit")
}

/// The error for a server that answers with another one's URL.
fn redirected(url: &str, response: &Response) -> CliError {
    let status = response.status().as_u16();
    let to = response.headers().get(LOCATION);
    let to = to.map(|to| String::from_utf8_lossy(to.as_bytes()));
    let to = to.as_deref().unwrap_or("nowhere");
    CliError::failed(format!(
        "{url} redirects to {to} (HTTP {status}), which is not followed"
    ))
    .hint("if that is the server, use its URL: `kgrca context add NAME --url URL`")
}

/// When the request may be repeated, by `Retry-After` in seconds.
fn retry_at(response: &Response) -> Option<Time> {
    let header = response.headers().get("retry-after")?.to_str().ok()?;
    let seconds: i64 = header.parse().ok()?;
    Some(now().plus(seconds.saturating_mul(SECOND)))
}
