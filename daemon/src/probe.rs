//! Asks whether a server or an agent is up, for places that hold this binary and no other: its image.

use std::time::Duration;

use kgrca_core::storage::with_causes;

use crate::error::Failure;

/// What is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeSettings {
    /// An address that answers 200 when all is well, such as `http://kgrca-agent:7610/readyz`
    pub url: String,
    /// Do not look at its certificate: nothing is sent, and nothing of the answer is believed but that it is there
    #[arg(long)]
    pub insecure: bool,
    /// How many seconds it may take
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,
}

/// Asks once. Returns what was answered.
///
/// # Errors
/// When nobody answers, or something else than 200.
pub async fn probe(settings: &ProbeSettings) -> Result<String, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = &settings.url;
    let failed = |why: String| {
        Failure::new(format!("{url}: {why}"), "is it up, is the address right, does a NetworkPolicy let us through?")
    };
    let told = |e: reqwest::Error| failed(with_causes(&e));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(settings.timeout))
        .danger_accept_invalid_certs(settings.insecure)
        .build()
        .map_err(told)?;
    let answer = client.get(url).send().await.map_err(told)?;
    let status = answer.status();
    let text = answer.text().await.map_err(told)?;
    if status == reqwest::StatusCode::OK {
        Ok(format!("{url}: {}", text.trim()))
    } else {
        Err(failed(format!("{status} {}", text.trim())))
    }
}
