//! Checks of the agent's settings, and what it opens before it reads anything.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::config::AgentSettings;
use super::receiver::{self, Receiver};
use super::ship::{ApiKey, Kafka, Server, Target};
use crate::admission::{self, Admission, Strict};
use crate::error::{Failure, FailureKind};

/// Timeout of a request to the server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to the agent's endpoints of one address, and in all.
const CONNECTIONS_PER_ADDRESS: usize = 16;
const CONNECTIONS: usize = 128;

pub(super) fn spool_unusable(folder: &Path, error: std::io::Error) -> Failure {
    Failure::file(
        folder,
        error,
        "make the directory writable, or choose another one with --spool",
    )
}

/// Locks the spool against a second agent, which would reuse the same block numbers. The lock ends
/// with the process.
pub(super) fn lock(folder: &Path) -> Result<File, Failure> {
    let unusable = |e: std::io::Error| spool_unusable(folder, e);
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::of(
            FailureKind::InUse,
            format!("another agent is using {}", folder.display()),
        )
        .hint("stop it first, or choose another directory with --spool")),
        Err(TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// The server's API, with the settings' URL, key and CA.
pub(super) fn server(settings: &AgentSettings) -> Result<Server, Failure> {
    let url = settings.server.trim_end_matches('/').to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Failure::new(
            format!("--server: invalid URL `{url}`"),
            "expected a URL like https://kgrca.example.com",
        ));
    }
    let mut builder = reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would send the key and the records to another server.
        .redirect(Policy::none());
    if let Some(file) = &settings.ca_file {
        let pem = std::fs::read(file).map_err(|e| Failure::file(file, e, "check --ca-file"))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| {
            Failure::new(file.display().to_string(), "--ca-file must be PEM").source(e)
        })?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let (Some(certificate), Some(key)) = (&settings.client_cert, &settings.client_key) {
        builder = builder.identity(identity(certificate, key)?);
    }
    let http = builder
        .build()
        .map_err(|e| Failure::new("cannot set up the HTTP client", "check --ca-file").source(e))?;
    Ok(Server {
        http,
        url,
        key: ApiKey::open(settings.api_key.clone())?,
        cluster: settings.cluster.clone(),
    })
}

/// What the agent presents to a server that asks for client certificates.
fn identity(certificate: &Path, key: &Path) -> Result<reqwest::Identity, Failure> {
    let read = |file: &Path, flag: &str| {
        std::fs::read(file).map_err(|e| Failure::file(file, e, format!("check {flag}")))
    };
    let mut pem = read(certificate, "--client-cert")?;
    pem.push(b'\n');
    pem.extend(read(key, "--client-key")?);
    reqwest::Identity::from_pem(&pem).map_err(|e| {
        let file = certificate.display().to_string();
        Failure::new(file, "--client-cert and --client-key must be PEM").source(e)
    })
}

/// Where records go: Kafka if the settings name it, else the server's API.
pub(super) fn target(settings: &AgentSettings, server: &Server) -> Result<Target, Failure> {
    let Some(url) = &settings.kafka else {
        return Ok(Target::Api(server.clone()));
    };
    let kafka = Kafka::open(url.clone(), settings.ca_file.clone(), &settings.cluster)?;
    Ok(Target::Kafka(Arc::new(kafka)))
}

/// Starts the agent's own endpoints, and writes the ready file.
pub(super) async fn listen(
    settings: &AgentSettings,
    receiver: Receiver,
    sources: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let address = settings.agent_listen;
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("--agent-listen: cannot listen on {address}"),
            "choose another address with --agent-listen",
        )
        .source(e)
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let bound = listener.local_addr().map_err(unusable)?;
    tracing::info!(listen = %bound, cluster = settings.cluster, "agent started");
    if let Some(file) = &settings.agent_ready_file {
        let content = format!("listen=http://{bound}\npid={}\n", std::process::id());
        std::fs::write(file, content)
            .map_err(|e| Failure::file(file, e, "check --agent-ready-file"))?;
    }
    let server = axum_server::from_tcp(listener.into_std().map_err(unusable)?);
    let mut server = server.map_err(unusable)?.http1_only();
    admission::bound_heads(&mut server);
    let server = server.acceptor(Strict(Admission::leaving_room(
        CONNECTIONS_PER_ADDRESS,
        CONNECTIONS,
    )));
    let routes = receiver::routes(Arc::new(receiver));
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    sources.spawn(async move {
        if let Err(e) = server.serve(routes).await {
            tracing::error!(error = %e, "the agent's HTTP endpoints stopped");
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::config::settings_for_tests;
    use super::*;

    #[test]
    fn a_second_agent_on_the_same_spool_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = lock(folder.path()).unwrap();
        let second = lock(folder.path()).unwrap_err();
        assert_eq!(second.kind(), FailureKind::InUse);
        assert!(second.to_string().contains("another agent is using"));
        assert!(second.next_step().contains("--spool"));
    }

    #[test]
    fn an_invalid_server_url_names_the_flag_and_the_expected_form() {
        let settings = settings_for_tests(&["--server", "kgrca.example.com"]);
        let failure = server(&settings).err().unwrap();
        assert_eq!(
            failure.to_string(),
            "--server: invalid URL `kgrca.example.com`"
        );
        assert!(failure.next_step().contains("https://"));
    }

    #[test]
    fn a_ca_file_that_is_missing_or_not_pem_names_the_file_and_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let path = file.to_str().unwrap();
        let settings = settings_for_tests(&["--server", "https://x", "--ca-file", path]);
        for content in [
            None,
            Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"),
        ] {
            if let Some(content) = content {
                std::fs::write(&file, content).unwrap();
            }
            let failure = server(&settings).err().unwrap();
            assert!(failure.to_string().contains("ca.pem"), "{failure}");
            assert!(failure.next_step().contains("--ca-file"), "{failure}");
        }
    }
}
