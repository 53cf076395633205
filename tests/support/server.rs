//! A `kgrcad` process with its own data folder and free ports.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// A running daemon; killed when dropped.
pub struct Server {
    child: Child,
    /// Its data directory.
    pub folder: PathBuf,
    /// Address of the API.
    pub url: String,
    /// Address of the metrics.
    pub metrics: String,
    /// The operator's key.
    pub operator: String,
    /// The client that its calls use.
    pub http: Client,
}

/// A tenant as its creation returned it.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Such as `client-acme-7f3k2a`.
    pub id: String,
    /// Its first key.
    pub key: String,
    /// The password of its user in Kafka, where the log is there.
    pub kafka_password: Option<String>,
}

impl Tenant {
    /// Reads the answer to `POST /admin/clients`.
    pub fn from_created(created: &Value) -> Self {
        Self {
            id: created["client_id"].as_str().unwrap().into(),
            key: created["api_key"].as_str().unwrap().into(),
            kafka_password: created["kafka_password"].as_str().map(str::to_owned),
        }
    }
}

impl Server {
    /// Starts a daemon on a folder, which may hold data of an earlier one.
    pub fn start(folder: &Path, options: &[&str]) -> Self {
        Self::start_with(folder, options, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(folder: &Path, options: &[&str], environment: &[(&str, &str)]) -> Self {
        // Installed by the first server of a process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ready = folder.join("ready");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("daemon.log"))
            .unwrap();
        let child = Command::new(crate::binary("kgrcad"))
            .arg("--data")
            .arg(folder)
            .args(if options.contains(&"--listen") {
                &[][..]
            } else {
                &["--listen", "127.0.0.1:0"]
            })
            .args(["--metrics-listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .args(options)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let text = loop {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            if text.contains("metrics=") && text.ends_with('\n') {
                break text;
            }
            assert!(
                Instant::now() < deadline,
                "{}",
                std::fs::read_to_string(folder.join("daemon.log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        let line = |name: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        let given = environment
            .iter()
            .find(|(name, _)| *name == "KGRCA_OPERATOR_KEY")
            .map(|(_, key)| (*key).to_owned());
        let operator =
            given.unwrap_or_else(|| std::fs::read_to_string(folder.join("operator.key")).unwrap());
        Self {
            child,
            folder: folder.to_owned(),
            url: line("api="),
            metrics: line("metrics="),
            operator,
            http: Client::new(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits up to 20 s for it to exit on its own. Returns whether it did.
    pub fn has_died(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Sends it a signal, such as `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
        Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
    }

    /// Sends SIGTERM. Returns whether it exited with success.
    pub fn terminate(mut self) -> bool {
        Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        self.child.wait().unwrap().success()
    }

    /// Calls a route.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        match request.send().await {
            Ok(response) => response,
            Err(error) => panic!("{path}: {error:?}; the end of its log:\n{}", self.log_end()),
        }
    }

    /// The last lines of its log, which say why it no longer answers.
    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Asks for JSON; a client that polls on a slow machine is told to wait, and does.
    pub async fn get(&self, path: &str, key: &str) -> Value {
        let mut response = self.call(Method::GET, path, Some(key), None).await;
        while response.status() == StatusCode::TOO_MANY_REQUESTS {
            let wait = response.headers().get("retry-after").unwrap();
            let wait: u64 = wait.to_str().unwrap().parse().unwrap();
            assert!(wait <= 60, "{path}: asked to retry after {wait} s");
            tokio::time::sleep(Duration::from_secs(wait.max(1))).await;
            response = self.call(Method::GET, path, Some(key), None).await;
        }
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Creates a tenant.
    pub async fn tenant(&self, name: &str, plan: &str) -> Tenant {
        let body = json!({"name": name, "plan": plan}).to_string().into_bytes();
        let response = self
            .call(
                Method::POST,
                "/api/v1/admin/clients",
                Some(&self.operator),
                Some(body),
            )
            .await;
        assert_eq!(response.status(), 201);
        Tenant::from_created(&response.json().await.unwrap())
    }

    /// Creates a key with scopes.
    pub async fn key(&self, tenant: &Tenant, scopes: &[&str]) -> (String, String) {
        let body = json!({"name": "test", "scopes": scopes})
            .to_string()
            .into_bytes();
        let response = self
            .call(
                Method::POST,
                &format!("/api/v1/admin/clients/{}/keys", tenant.id),
                Some(&self.operator),
                Some(body),
            )
            .await;
        assert_eq!(response.status(), 201);
        let created: Value = response.json().await.unwrap();
        (
            created["key_id"].as_str().unwrap().into(),
            created["api_key"].as_str().unwrap().into(),
        )
    }

    /// Sends records; returns the answer.
    pub async fn ingest(&self, tenant: &Tenant, kind: &str, body: Vec<u8>) -> Value {
        let response = self
            .call(
                Method::POST,
                &format!("/api/v1/ingest/{kind}"),
                Some(&tenant.key),
                Some(body),
            )
            .await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 202, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until `seen` records are processed and committed, and none is waiting.
    pub async fn settled(&self, tenant: &Tenant, seen: u64) -> Value {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let stats = self.get("/api/v1/stats", &tenant.key).await;
            if stats["lag"] == 0 && stats["records"]["seen"].as_u64().unwrap_or(0) >= seen {
                return stats;
            }
            assert!(Instant::now() < deadline, "not settled: {stats}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already when it was killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
