//! What the environment names for connections with TLS: private CAs, and a client certificate.

use std::path::Path;

use kgrca_core::api::tls_hint;

use crate::context::variable;
use crate::error::{CliError, Result};

/// Variables with files for TLS.
const CA_FILE: &str = "KGRCA_CA_FILE";
const CLIENT_CERT: &str = "KGRCA_CLIENT_CERT";
const CLIENT_KEY: &str = "KGRCA_CLIENT_KEY";

/// What to do about an error of TLS; `None` for other errors.
pub(super) fn hint(error: &str) -> Option<String> {
    let present = format!("{CLIENT_CERT} and {CLIENT_KEY}");
    tls_hint(error, CA_FILE, &present)
}

/// The certificates of private CAs that the environment names.
pub(super) fn trusted() -> Result<Vec<reqwest::Certificate>> {
    let Some(file) = std::env::var_os(CA_FILE) else {
        return Ok(Vec::new());
    };
    let file = Path::new(&file);
    let unusable = || {
        CliError::usage(format!("cannot use CA file {}", file.display()))
            .hint("KGRCA_CA_FILE must name a PEM file with a certificate")
    };
    let text = std::fs::read(file).map_err(|e| unusable().source(&e))?;
    let found = reqwest::Certificate::from_pem_bundle(&text);
    let found = found.map_err(|e| unusable().source(&e))?;
    if found.is_empty() {
        return Err(unusable());
    }
    Ok(found)
}

/// What this machine presents to a server that asks for client certificates.
pub(super) fn identity() -> Result<Option<reqwest::Identity>> {
    let (certificate, key) = match (variable(CLIENT_CERT), variable(CLIENT_KEY)) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (certificate, _) => {
            let missing = if certificate.is_some() {
                CLIENT_KEY
            } else {
                CLIENT_CERT
            };
            let hint = "a client certificate needs both files, in PEM";
            return Err(CliError::usage(format!("{missing} is not set")).hint(hint));
        }
    };
    let read = |variable: &str, file: &str| {
        std::fs::read(file)
            .map_err(|e| CliError::usage(format!("{variable}: cannot read {file}")).source(&e))
    };
    let mut pem = read(CLIENT_CERT, &certificate)?;
    pem.push(b'\n');
    pem.extend(read(CLIENT_KEY, &key)?);
    let identity = reqwest::Identity::from_pem(&pem).map_err(|e| {
        CliError::usage(format!(
            "{certificate} and {key} are not a certificate and its key"
        ))
        .source(&e)
        .hint(format!(
            "{CLIENT_CERT} and {CLIENT_KEY} must name PEM files"
        ))
    })?;
    Ok(Some(identity))
}
