//! Asks whether a server or an agent is up, for places that hold this binary and no other: its
//! image.

use std::time::Duration;

use kgrca_core::storage::with_causes;

use crate::error::Failure;

/// What is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeSettings {
    /// An address that answers 200 when all is well, such as `http://kgrca-agent:7610/readyz`
    pub url: String,
    /// Do not look at its certificate: nothing is sent, and nothing of the answer is believed but
    /// that it is there
    #[arg(long)]
    pub insecure: bool,
    /// For how many seconds it is asked again until it answers so
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,
}

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks until the answer is 200, for as long as it may take. Returns what was answered.
///
/// # Errors
/// When nobody answers, or something else than 200, up to the end.
pub async fn probe(settings: &ProbeSettings) -> Result<String, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = &settings.url;
    if reqwest::Url::parse(url)
        .ok()
        .is_none_or(|url| !matches!(url.scheme(), "http" | "https"))
    {
        return Err(Failure::new(
            format!("`{url}` is no address"),
            "it looks like http://kgrca-agent:7610/healthz",
        ));
    }
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .danger_accept_invalid_certs(settings.insecure)
        .build()
        .map_err(|e| Failure::new(with_causes(&e), "this is a defect; report it"))?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(settings.timeout);
    loop {
        let failure = match client.get(url).send().await {
            Ok(answer) if answer.status() == reqwest::StatusCode::OK => {
                return Ok(format!(
                    "{url}: {}",
                    answer.text().await.unwrap_or_default().trim()
                ));
            }
            Ok(answer) => {
                let status = answer.status();
                let text = answer.text().await.unwrap_or_default();
                Failure::new(
                    format!("{url}: {status}: {}", text.trim()),
                    "somebody answers; it says what is wrong",
                )
            }
            Err(e) => Failure::new(
                with_causes(&e.without_url()).replacen("error sending request", url, 1),
                "is it up, is the address right, does a NetworkPolicy let us through?",
            ),
        };
        if tokio::time::Instant::now() + PAUSE >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
