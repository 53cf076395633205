//! The daemon's API as the commands call it.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::{Context, Secret};
use crate::error::{CliError, Result, exit};

/// Whose key a call is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// A tenant's.
    Tenant,
    /// The operator's.
    Operator,
}

impl As {
    /// The variable that holds the key.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Tenant => "KGRCA_API_KEY",
            Self::Operator => "KGRCA_OPERATOR_KEY",
        }
    }
}

/// The certificate of a provider's own authority.
fn trusted(file: &Path) -> Result<reqwest::Certificate> {
    let unusable = |e: &dyn std::fmt::Display| {
        CliError::usage(format!("{}: {e}", file.display()))
            .hint("KGRCA_CA_FILE names a file with a certificate in PEM")
    };
    let text = std::fs::read(file).map_err(|e| unusable(&e))?;
    reqwest::Certificate::from_pem(&text).map_err(|e| unusable(&e))
}

/// A server with a key.
pub struct Client {
    context: Context,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// A client for a context. Nothing is sent yet.
    pub fn new(context: Context) -> Result<Self> {
        Self::patient(context, Duration::from_mins(1))
    }

    /// A client that gives up after a time.
    pub fn patient(context: Context, patience: Duration) -> Result<Self> {
        let is_web = reqwest::Url::parse(&context.url)
            .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        if !is_web {
            let error = CliError::usage(format!("`{}` is no address of a server", context.url));
            return Err(error.hint(
                "it looks like http://127.0.0.1:7600; it comes from KGRCA_URL or the context",
            ));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(patience.min(Duration::from_secs(5)))
            .timeout(patience);
        if let Some(file) = std::env::var_os("KGRCA_CA_FILE") {
            http = http.add_root_certificate(trusted(Path::new(&file))?);
        }
        let http = http.build();
        let http =
            http.map_err(|e| CliError::failed("the HTTP client cannot be set up").cause(e))?;
        Ok(Self {
            context,
            http,
            runtime,
        })
    }

    /// Whether a key was given.
    pub fn has_key(&self, who: As) -> bool {
        self.key(who).is_ok()
    }

    /// Asks for something.
    pub fn get<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T> {
        self.read(who, self.request(Method::GET, who, path)?.query(query))
    }

    /// Sends a value.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        who: As,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        self.read(who, self.request(method, who, path)?.json(body))
    }

    /// Sends a wish that may be repeated under the same key, until it is answered or patience ends.
    pub fn send_until<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        body: &impl Serialize,
        key: &str,
        patience: Duration,
        again: &mut dyn FnMut(&str),
    ) -> Result<T> {
        // A server that was never there is told at once; only one that went away is waited for.
        self.call(Method::GET, who, "/livez")?;
        let deadline = std::time::Instant::now() + patience;
        loop {
            let request = self
                .request(Method::POST, who, path)?
                .header("idempotency-key", key)
                .json(body);
            match self.read(who, request) {
                // What a server says of itself does not pass by trying again.
                Err(e)
                    if e.exit == exit::UNREACHABLE
                        && e.status.is_none()
                        && std::time::Instant::now() < deadline =>
                {
                    again(&e.message);
                    std::thread::sleep(Duration::from_secs(1));
                }
                other => return other,
            }
        }
    }

    /// Sends bytes.
    pub fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T> {
        self.read(
            As::Tenant,
            self.request(Method::POST, As::Tenant, path)?
                .header("content-type", "application/json")
                .body(body),
        )
    }

    /// Sends lines of JSON as the operator.
    pub fn post_lines<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T> {
        let request = self
            .request(Method::POST, As::Operator, path)?
            .header("content-type", "application/x-ndjson");
        self.read(As::Operator, request.body(body))
    }

    /// Reads a long body as the operator, piece by piece. Fails when it breaks off.
    pub fn download(&self, path: &str, mut each: impl FnMut(&[u8]) -> Result) -> Result {
        let request = self
            .request(Method::GET, As::Operator, path)?
            .timeout(Duration::from_hours(24));
        self.runtime.block_on(async {
            let mut response = self.checked(As::Operator, request).await?;
            let broken = |e: reqwest::Error| {
                CliError::failed("the answer broke off")
                    .cause(e)
                    .hint("the log of kgrcad says why; `kgrca doctor` looks at its stores")
            };
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                each(&chunk)?;
            }
            Ok(())
        })
    }

    /// Asks an open route for text, whatever its status.
    pub fn text(&self, path: &str) -> Result<String> {
        let request = self.request(Method::GET, As::Operator, path)?;
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|e| self.unreachable(&e))?;
            response.text().await.map_err(|e| self.unreachable(&e))
        })
    }

    /// Calls without expecting anything back.
    pub fn call(&self, method: Method, who: As, path: &str) -> Result {
        let request = self.request(method, who, path)?;
        self.runtime
            .block_on(async { self.checked(who, request).await.map(|_| ()) })
    }

    /// Follows a stream of server-sent events until it ends or `each` says so.
    pub fn follow(&self, path: &str, mut each: impl FnMut(&str) -> Result<bool>) -> Result {
        let request = self
            .request(Method::GET, As::Tenant, path)?
            .timeout(Duration::from_hours(8760));
        self.runtime.block_on(async {
            let mut response = self.checked(As::Tenant, request).await?;
            let mut buffer = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
                buffer.extend_from_slice(&chunk);
                while let Some(at) = buffer.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=at).collect();
                    let line = String::from_utf8_lossy(&line);
                    if let Some(data) = line.trim_end().strip_prefix("data: ")
                        && !each(data)?
                    {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    fn request(&self, method: Method, who: As, path: &str) -> Result<reqwest::RequestBuilder> {
        let url = format!("{}{path}", self.context.url.trim_end_matches('/'));
        let request = self.http.request(method, url);
        if !path.starts_with("/api/") {
            return Ok(request);
        }
        Ok(request.header("x-api-key", self.key(who)?.expose()))
    }

    fn key(&self, who: As) -> Result<&Secret> {
        let key = match who {
            As::Tenant => &self.context.api_key,
            As::Operator => &self.context.operator_key,
        };
        let whose = if who == As::Tenant {
            "a tenant's"
        } else {
            "the operator's"
        };
        let missing = || {
            CliError::new(exit::NOT_ALLOWED, format!("this needs {whose} key")).hint(format!(
                "set {}, or add one with `kgrca context add`",
                who.variable()
            ))
        };
        key.as_ref().ok_or_else(missing)
    }

    fn read<T: DeserializeOwned>(&self, who: As, request: reqwest::RequestBuilder) -> Result<T> {
        self.runtime.block_on(async {
            let response = self.checked(who, request).await?;
            let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
            let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
            serde_json::from_slice(bytes).map_err(|e| {
                CliError::failed("the server's answer cannot be read")
                    .cause(e)
                    .hint("are both of the same version? `kgrca version`")
            })
        })
    }

    async fn checked(
        &self,
        who: As,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response> {
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response
            .bytes()
            .await
            .ok()
            .and_then(|b| serde_json::from_slice(&b).ok());
        Err(CliError::api(status.as_u16(), body, who))
    }

    fn unreachable(&self, e: &reqwest::Error) -> CliError {
        let mut error = CliError::new(
            exit::UNREACHABLE,
            format!("{} does not answer", self.context.url),
        );
        let mut source = std::error::Error::source(e);
        while let Some(cause) = source {
            error.causes.push(cause.to_string());
            source = cause.source();
        }
        error.hint("is the daemon running? `kgrca doctor` checks; `kgrca up` starts one here")
    }
}
