//! The daemon's API as the commands call it.

use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use reqwest::{Method, RequestBuilder, Response};
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
        let is_web = reqwest::Url::parse(&context.url)
            .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        if !is_web {
            let error = CliError::usage(format!("invalid server URL `{}`", context.url));
            return Err(error.hint(
                "expected a URL like http://127.0.0.1:7600 in KGRCA_URL or the current context",
            ));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .timeout(timeout);
        if let Some(file) = std::env::var_os("KGRCA_CA_FILE") {
            http = http.add_root_certificate(trusted(Path::new(&file))?);
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

    /// Whether the context has this key.
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
            response.text().await.map_err(|e| self.unreachable(&e))
        })
    }

    /// Sends a request whose response has no body.
    pub fn call(&self, method: Method, who: As, path: &str) -> Result {
        let request = self.request(method, who, path)?;
        self.runtime
            .block_on(async { self.checked(who, request).await.map(|_| ()) })
    }

    /// Follows a stream of server-sent events until it ends. `each` may call the server.
    pub fn follow(&self, path: &str, mut each: impl FnMut(&str) -> Result) -> Result {
        let request = self
            .request(Method::GET, As::Tenant, path)?
            .timeout(Duration::from_hours(8760));
        let mut response = self.runtime.block_on(self.checked(As::Tenant, request))?;
        let mut buffer = Vec::new();
        loop {
            let chunk = self.runtime.block_on(response.chunk());
            let Some(chunk) = chunk.map_err(|e| self.unreachable(&e))? else {
                return Ok(());
            };
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(data) = line.trim_end().strip_prefix("data: ") {
                    each(data)?;
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
        Ok(request.header("x-api-key", self.key(who)?.expose()))
    }

    fn key(&self, who: As) -> Result<&Secret> {
        let (key, whose) = match who {
            As::Tenant => (&self.context.api_key, "a tenant's API key"),
            As::Operator => (&self.context.operator_key, "the operator's key"),
        };
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
            let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
            let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
            serde_json::from_slice(bytes).map_err(|e| {
                CliError::failed("unexpected response from the server")
                    .source(&e)
                    .hint("compare `kgrca version` with the server's version in `kgrca doctor`")
            })
        })
    }

    async fn checked(&self, who: As, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let path = response.url().path().to_owned();
        let retry_at = retry_at(&response);
        let bytes = response.bytes().await.unwrap_or_default();
        Err(CliError::from(Refused {
            status: status.as_u16(),
            path: &path,
            who,
            retry_at,
            body: serde_json::from_slice(&bytes).ok(),
        }))
    }

    fn unreachable(&self, e: &reqwest::Error) -> CliError {
        let message = format!("cannot reach {}", self.context.url);
        let mut error = CliError::new(Kind::Unreachable, message);
        // The outermost error only repeats the URL.
        if let Some(source) = std::error::Error::source(e) {
            error = error.source(source);
        }
        error.hint("check it with `kgrca doctor`, or start a local server with `kgrca up`")
    }
}

/// The certificate of a private CA.
fn trusted(file: &Path) -> Result<reqwest::Certificate> {
    let unusable = |e: &dyn std::error::Error| {
        CliError::usage(format!("cannot use CA file {}", file.display()))
            .source(e)
            .hint("KGRCA_CA_FILE must name a PEM file with a certificate")
    };
    let text = std::fs::read(file).map_err(|e| unusable(&e))?;
    reqwest::Certificate::from_pem(&text).map_err(|e| unusable(&e))
}

/// When the request may be repeated, by `Retry-After` in seconds.
fn retry_at(response: &Response) -> Option<Time> {
    let header = response.headers().get("retry-after")?.to_str().ok()?;
    let seconds: i64 = header.parse().ok()?;
    Some(now().plus(seconds.saturating_mul(SECOND)))
}
