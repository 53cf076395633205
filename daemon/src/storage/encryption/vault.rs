//! A master key in the transit engine of `HashiCorp` Vault: it never leaves Vault, which encrypts
//! and decrypts data keys.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kgrca_core::storage::{Error, ErrorKind, Result, with_causes};
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::local::{read_private, without_value};
use crate::clock::sleep;

const EXPECTED: &str =
    "expected vault://HOST:8200/MOUNT/KEY?token-file=FILE&ca=FILE&namespace=NAME&id=NAME";
const DEFAULT_PORT: u16 = 8200;
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request is sent that Vault may answer a moment later: while it starts, or elects
/// another leader.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// What Vault's refusals of a single ciphertext contain; others are about the key, the token or
/// Vault itself.
const CIPHERTEXT: [&str; 3] = [
    "ciphertext",
    "message authentication failed",
    "no such key version",
];
/// The variable with the token where the URL names no file.
const TOKEN: &str = "VAULT_TOKEN";

/// A key of the transit engine.
pub(super) struct Vault {
    /// Mount and name of the key, unless the URL gives it a name.
    pub id: String,
    http: reqwest::Client,
    /// Address of the mount.
    mount: String,
    key: String,
    token_file: Option<PathBuf>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

/// Why a request failed.
enum Failure {
    /// The same request may succeed a moment later.
    Brief(Error),
    Lasting(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// The version of the key that encrypted a ciphertext of Vault: `vault:v3:…`.
pub(super) fn version(wrapped: &str) -> Option<u32> {
    let (version, _) = wrapped.strip_prefix("vault:v")?.split_once(':')?;
    version.parse().ok()
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("--master-key-url: {what}")).hint(EXPECTED)
}

impl Vault {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let url = url::Url::parse(text).map_err(|e| invalid(&format!("invalid Vault URL: {e}")))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| invalid("the Vault URL has no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "a Vault URL cannot contain a user or password; pass a token",
            ));
        }
        let path = url.path().trim_matches('/');
        let parts = path.rsplit_once('/');
        let (mount, key) = parts.ok_or_else(|| invalid("the Vault URL needs a mount and a key"))?;
        let (mut ca, mut token_file, mut namespace, mut tls) = (None, None, None, true);
        let mut id = path.to_owned();
        for (name, value) in url.query_pairs() {
            match &*name {
                "ca" => ca = Some(value.into_owned()),
                "token-file" => token_file = Some(PathBuf::from(&*value)),
                "namespace" => namespace = Some(value.into_owned()),
                "id" => id = value.into_owned(),
                "tls" => tls = value != "false",
                _ => {
                    return Err(invalid(&format!(
                        "unknown parameter `{name}` in the Vault URL"
                    )));
                }
            }
        }
        let is_loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
        if !tls && !is_loopback {
            return Err(invalid("tls=false is for loopback addresses"));
        }
        let scheme = if tls { "https" } else { "http" };
        let port = url.port().unwrap_or(DEFAULT_PORT);
        Ok(Self {
            id: format!("vault:{id}"),
            http: client(ca.as_deref())?,
            mount: format!("{scheme}://{host}:{port}/v1/{mount}"),
            key: key.to_owned(),
            token_file,
            namespace,
        })
    }

    pub(super) async fn encrypt(&self, plain: &[u8]) -> Result<String> {
        let body = json!({ "plaintext": STANDARD.encode(plain) });
        let done: Encrypted = self.call("encrypt", &body).await?;
        if version(&done.ciphertext).is_none() {
            return Err(self.failed("the answer is not a ciphertext of Vault"));
        }
        Ok(done.ciphertext)
    }

    /// Decrypts; `Corrupt` when Vault refuses this one ciphertext.
    pub(super) async fn decrypt(&self, wrapped: &str) -> Result<Vec<u8>> {
        let body = json!({ "ciphertext": wrapped });
        let done: Decrypted = self.call("decrypt", &body).await?;
        let unexpected = |_| self.failed("the answer is not Base64");
        STANDARD.decode(done.plaintext).map_err(unexpected)
    }

    /// Read each time: an agent of Vault replaces it before it expires.
    fn token(&self) -> Result<String> {
        let hint = "set VAULT_TOKEN, or name a file with ?token-file= in the URL";
        let read = match &self.token_file {
            Some(file) => read_private(file).map_err(|e| format!("{}: {e}", file.display())),
            None => std::env::var(TOKEN).map_err(|e| format!("{TOKEN} {}", without_value(&e))),
        };
        match read {
            Ok(token) => Ok(token.trim().to_owned()),
            Err(e) => Err(self.failed(&format!("no token: {e}")).hint(hint)),
        }
    }

    fn failed(&self, what: &str) -> Error {
        let message = format!("master key {}: {what}", self.id);
        Error::new(ErrorKind::Unavailable, message)
            .hint("check that Vault is unsealed and that the token may encrypt and decrypt")
    }

    async fn call<T: DeserializeOwned>(&self, act: &str, body: &serde_json::Value) -> Result<T> {
        let mut attempt = 1;
        loop {
            match self.send(act, body).await {
                Ok(data) => return Ok(data),
                Err(Failure::Brief(_)) if attempt < ATTEMPTS => sleep(PAUSE * attempt).await,
                Err(Failure::Brief(error) | Failure::Lasting(error)) => return Err(error),
            }
            attempt += 1;
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        act: &str,
        body: &serde_json::Value,
    ) -> std::result::Result<T, Failure> {
        let url = format!("{}/{act}/{}", self.mount, self.key);
        let mut request = self.http.post(url).json(body);
        request = request.header("X-Vault-Token", self.token()?);
        // An agent or proxy of Vault may require it.
        request = request.header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let mut response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_ANSWER {
                return Err(self.failed("the answer is too long").into());
            }
        }
        if !status.is_success() {
            let refusal: Refusal = serde_json::from_slice(&text).unwrap_or_default();
            return Err(self.refused(status, &refusal));
        }
        let answer: Answer<T> = serde_json::from_slice(&text)
            .map_err(|_| self.failed("the answer is not what Vault sends"))?;
        Ok(answer.data)
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        // Whoever waits has waited long enough.
        let is_brief = !error.is_timeout();
        let hint = format!(
            "check that Vault runs and is reached from kgrcad at {}; a certificate of a CA of your \
             own needs ?ca=FILE in the URL",
            self.mount
        );
        let error = self.failed(&with_causes(&error.without_url())).hint(hint);
        if is_brief {
            Failure::Brief(error)
        } else {
            Failure::Lasting(error)
        }
    }

    /// What to do about a refusal of Vault.
    fn way_out(&self, status: StatusCode, why: &str) -> Option<String> {
        let (mount, key) = self.id_of_key();
        if why.contains("sealed") {
            return Some("unseal Vault: vault operator unseal".to_owned());
        }
        if status == StatusCode::FORBIDDEN {
            return Some(format!(
                "the token is missing, has expired, or may not do it: `vault token lookup` shows \
                 which; its policy needs `update` on {mount}/encrypt/{key} and \
                 {mount}/decrypt/{key}"
            ));
        }
        if status == StatusCode::NOT_FOUND || why.contains("not found") {
            return Some(format!(
                "check mount and key in --master-key-url: `vault read {mount}/keys/{key}`. Restore \
                 a key that was deleted: another of this name does not decrypt what is stored"
            ));
        }
        None
    }

    /// Mount and name of the key.
    fn id_of_key(&self) -> (&str, &str) {
        let mount = self.mount.split_once("/v1/").map(|(_, mount)| mount);
        (mount.unwrap_or_default(), &self.key)
    }

    fn refused(&self, status: StatusCode, refusal: &Refusal) -> Failure {
        let why = refusal.errors.join(", ");
        if status == StatusCode::BAD_REQUEST && CIPHERTEXT.iter().any(|about| why.contains(about)) {
            let message = format!("cannot decrypt it with master key {}: {why}", self.id);
            return Error::new(ErrorKind::Corrupt, message).into();
        }
        let error = self.failed(&format!("{status}: {why}"));
        let error = match self.way_out(status, &why) {
            Some(hint) => error.hint(hint),
            None => error,
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Failure::Brief(error)
        } else {
            Failure::Lasting(error)
        }
    }
}

fn client(ca: Option<&str>) -> Result<reqwest::Client> {
    // A token must not follow to another host.
    let mut http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|e| invalid(&format!("{file}: {e}")))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem);
        let certificates = certificates.map_err(|e| invalid(&format!("{file}: {e}")))?;
        for certificate in certificates {
            http = http.add_root_certificate(certificate);
        }
    }
    http.build().map_err(|e| invalid(&with_causes(&e)))
}

#[cfg(test)]
mod tests;
