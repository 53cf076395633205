//! `kgrcad probe`: a health check for images that hold no shell and no curl.

use std::time::Duration;

use kgrca_core::storage::with_causes;
use reqwest::StatusCode;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use tokio::time::Instant;

use crate::error::{Failure, FailureKind};

/// Flags of `kgrcad probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeSettings {
    /// URL that answers 200 when healthy, e.g. `http://kgrca-agent:7610/readyz`
    pub url: String,
    /// Do not verify the TLS certificate
    #[arg(long)]
    pub insecure: bool,
    /// Keep trying for this many seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,
}

const RETRY_EVERY: Duration = Duration::from_millis(500);
/// How much of an answer is printed, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Requests the URL until it answers 200 or the timeout has passed. Returns the URL and the body.
///
/// # Errors
/// The last failure, if there was no answer 200 in time.
pub async fn probe(settings: &ProbeSettings) -> Result<String, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = &settings.url;
    let is_http =
        reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_http {
        return Err(Failure::new(
            format!("invalid URL `{url}`"),
            "expected a URL like http://kgrca-agent:7610/healthz",
        ));
    }
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .danger_accept_invalid_certs(settings.insecure)
        // Whatever another URL answers says nothing about the health of this one.
        .redirect(Policy::none())
        .build()
        .map_err(Failure::bug)?;
    let deadline = Instant::now() + Duration::from_secs(settings.timeout);
    loop {
        let failure = match attempt(&http, url).await {
            Ok(body) => return Ok(format!("{url}: {body}")),
            Err(failure) => failure,
        };
        if Instant::now() + RETRY_EVERY >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

async fn attempt(http: &reqwest::Client, url: &str) -> Result<String, Failure> {
    let response = http.get(url).send().await.map_err(|e| {
        let message = with_causes(&e.without_url()).replacen("error sending request", url, 1);
        Failure::of(FailureKind::Unavailable, message).hint(
            "check that the server is running, that the URL is right and that no NetworkPolicy \
             blocks the connection",
        )
    })?;
    let status = response.status();
    let to = response.headers().get(LOCATION);
    if let Some(to) = to.filter(|_| status.is_redirection()) {
        let to = String::from_utf8_lossy(to.as_bytes());
        let message = format!("{url}: {status}: redirects to {to}");
        return Err(Failure::of(FailureKind::Unavailable, message)
            .hint("redirects are not followed: probe the URL that answers 200 itself"));
    }
    let body = first_bytes(response).await;
    let body = body.trim();
    if status == StatusCode::OK {
        return Ok(body.to_owned());
    }
    let message = format!("{url}: {status}: {body}");
    Err(Failure::of(FailureKind::Unavailable, message)
        .hint("the endpoint answered with an error (see above)"))
}

/// The beginning of a body: enough for a report.
async fn first_bytes(mut response: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && body.len() < MAX_BODY
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_BODY);
    String::from_utf8_lossy(&body).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn failure(url: &str) -> Failure {
        let settings = ProbeSettings {
            url: url.to_owned(),
            insecure: false,
            timeout: 0,
        };
        probe(&settings).await.unwrap_err()
    }

    #[tokio::test]
    async fn an_invalid_url_is_refused_with_an_example() {
        for url in ["kgrca-agent:7610", "ftp://x", ""] {
            let failure = failure(url).await;
            assert_eq!(failure.to_string(), format!("invalid URL `{url}`"));
            assert!(failure.next_step().contains("/healthz"));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_unavailable_and_named() {
        let failure = failure("http://127.0.0.1:1/readyz").await;
        assert_eq!(failure.kind(), FailureKind::Unavailable);
        assert!(
            failure.to_string().contains("http://127.0.0.1:1/readyz"),
            "{failure}"
        );
    }
}
