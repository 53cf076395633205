//! HTTPS with certificates from files, which are reloaded when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::config::Settings;
use crate::error::Failure;

/// How often the files are checked for changes.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Files with the server's certificate and key, and optionally the CAs of its clients.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// The files that the settings name; none when the server speaks plain HTTP.
    pub fn of(settings: &Settings) -> Option<Self> {
        let (certificate, key) = (settings.tls_cert.clone()?, settings.tls_key.clone()?);
        Some(Self {
            certificate,
            key,
            client_ca: settings.tls_client_ca.clone(),
        })
    }

    /// The same without asking clients for certificates.
    #[must_use]
    pub fn without_client_ca(self) -> Self {
        Self {
            client_ca: None,
            ..self
        }
    }

    /// Reads the files into a server configuration.
    ///
    /// # Errors
    /// If a file cannot be read, or the key does not match the certificate.
    pub fn load(&self) -> Result<Arc<ServerConfig>, Failure> {
        let builder = ServerConfig::builder();
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|e| unusable(file, &e))?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                    .build()
                    .map_err(|e| unusable(file, &e))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| unusable(&self.key, &e))?;
        let chain = certificates(&self.certificate)?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|e| unusable(&self.certificate, &e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Modification time of each file; none for a file that cannot be read.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [
            Some(&self.certificate),
            Some(&self.key),
            self.client_ca.as_ref(),
        ];
        files
            .into_iter()
            .flatten()
            .map(|f| std::fs::metadata(f).and_then(|m| m.modified()).ok())
            .collect()
    }

    /// Reloads the certificates whenever a file changes. If they are unusable the current ones
    /// stay in use.
    pub async fn watch(self, config: RustlsConfig) {
        let mut before = self.changed();
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let now = self.changed();
            if now == before {
                continue;
            }
            match self.load() {
                Ok(new) => {
                    config.reload_from_config(new);
                    tracing::info!(file = %self.certificate.display(), "certificate reloaded");
                    before = now;
                }
                Err(e) => {
                    tracing::error!(
                        error = %e,
                        "failed to load the new certificate; keeping the current one"
                    );
                }
            }
        }
    }
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        format!("{}: {error}", file.display()),
        "the file must be PEM and readable by kgrcad, and the key must match the certificate",
    )
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let all = CertificateDer::pem_file_iter(file).map_err(|e| unusable(file, &e))?;
    let all = all
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unusable(file, &e))?;
    if all.is_empty() {
        Err(unusable(file, &"no certificate found"))
    } else {
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_file_that_is_missing_or_empty_is_named_with_its_problem() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tls.crt");
        let missing = certificates(&file).unwrap_err();
        assert!(missing.to_string().contains("tls.crt"), "{missing}");
        std::fs::write(&file, "").unwrap();
        let empty = certificates(&file).unwrap_err();
        assert!(
            empty.to_string().ends_with("tls.crt: no certificate found"),
            "{empty}"
        );
        assert!(empty.next_step().contains("PEM"));
    }
}
