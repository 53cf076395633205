//! A real Vault with a key in its transit engine.

use std::path::PathBuf;
use std::process::Command;

use kgrca_tests::services::Service;
use kgrca_tests::{binary, write_private};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// A server of its own, which ends when this is dropped.
pub(super) struct Vault {
    pub(super) service: Service,
    http: Client,
}

impl Vault {
    pub(super) fn start() -> Self {
        // Installed by the first client of a process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let service = Service::start("vault");
        let ca = std::fs::read(service.data().join("ca.crt")).unwrap();
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        let http = Client::builder().add_root_certificate(ca).no_proxy();
        let http = http.build().unwrap();
        Self { service, http }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.service.data().join(name)
    }

    fn read(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.file(name)).unwrap();
        text.trim().to_owned()
    }

    /// The URL of its key.
    pub(super) fn url(&self) -> String {
        let (ca, token) = (self.file("ca.crt"), self.file("token"));
        format!(
            "vault://127.0.0.1:{}/transit/kgrca?ca={}&token-file={}",
            self.service.port,
            ca.display(),
            token.display()
        )
    }

    /// Sends a request with a token; returns the status and the answer.
    pub(super) async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let url = format!("https://127.0.0.1:{}/v1/{path}", self.service.port);
        let request = self.http.request(method, url).json(&body);
        let answer = request.header("x-vault-token", token).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Sends a request as the administrator.
    pub(super) async fn administer(&self, path: &str, body: Value) -> Value {
        let root = self.read("root-token");
        let (status, answer) = self.call(&root, Method::POST, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Gives the key another version.
    pub(super) async fn rotate(&self) {
        self.administer("transit/keys/kgrca/rotate", json!({}))
            .await;
    }

    /// Refuses what older versions of the key encrypted.
    pub(super) async fn decrypt_from(&self, version: u32) {
        let body = json!({ "min_decryption_version": version });
        self.administer("transit/keys/kgrca/config", body).await;
    }

    /// Replaces the key by another one of the same name.
    pub(super) async fn replace_key(&self) {
        let body = json!({ "deletion_allowed": true });
        self.administer("transit/keys/kgrca/config", body).await;
        let (root, path) = (self.read("root-token"), "transit/keys/kgrca");
        let (status, answer) = self.call(&root, Method::DELETE, path, json!({})).await;
        assert_eq!(status, 204, "{answer}");
        self.administer(path, json!({})).await;
    }

    pub(super) fn token(&self) -> String {
        self.read("token")
    }

    pub(super) async fn revoke_token(&self) {
        let body = json!({ "token": self.token() });
        self.administer("auth/token/revoke", body).await;
    }

    /// Writes a token with the rights of a policy to the file that the daemon reads.
    pub(super) async fn write_token(&self, policy: &str) {
        let body = json!({ "policies": [policy], "no_default_policy": true });
        let created = self.administer("auth/token/create-orphan", body).await;
        let token = created["auth"]["client_token"].as_str().unwrap();
        write_private(&self.file("token"), token);
    }
}

/// Starts a daemon that must refuse to; returns what it says.
pub(super) fn refused(folder: &std::path::Path, url: &str) -> String {
    let output = Command::new(binary("kgrcad"))
        .arg("--data")
        .arg(folder)
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .args(["--master-key-url", url])
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
