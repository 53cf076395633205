//! Requests to the API server, one after the other at a bounded rate.

use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use kgrca_core::model::Time;
use kube::client::Body;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};

use crate::output::now;

/// The time between two requests: 20 in a second.
const BETWEEN: Duration = Duration::from_millis(50);
/// How long an answer may take.
const WAIT: Duration = Duration::from_secs(30);
/// How often a request is sent when the server is busy.
const ATTEMPTS: u32 = 4;
/// How long to wait when a busy server does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that a busy server is waited for.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Clocks that differ by less are taken for equal, in microseconds.
const SAME_CLOCK: i64 = 5_000_000;

/// A request without a body.
pub(super) type Request = http::Request<Vec<u8>>;

/// Why a request gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server answered with an error: an HTTP status and its words.
    Status(u16, String),
    /// The answer is larger than asked for.
    TooLarge,
    /// No credentials could be had for the request.
    NoCredentials(String),
    /// The server was not reached, or did not answer in time.
    Unreachable(String),
}

/// Sends requests, at most 20 in a second.
pub(super) struct Api {
    client: kube::Client,
    /// When the next request may be sent.
    next: Mutex<Instant>,
    /// How far the server's clock is ahead of this one, once it is known.
    ahead: Mutex<Option<i64>>,
    /// How long an answer may take.
    wait: Duration,
}

impl Api {
    pub(super) fn new(client: kube::Client) -> Self {
        Self {
            client,
            next: Mutex::new(Instant::now()),
            ahead: Mutex::new(None),
            wait: WAIT,
        }
    }

    /// The same with less time for each answer.
    #[cfg(test)]
    pub(super) fn impatient(client: kube::Client, wait: Duration) -> Self {
        Self {
            wait,
            ..Self::new(client)
        }
    }

    /// The time by the server's clock: records have its times.
    pub(super) fn now(&self) -> Time {
        let ahead = self.ahead.lock().ok().and_then(|ahead| *ahead);
        now().plus(ahead.unwrap_or_default())
    }

    /// Waits until the next request may be sent.
    async fn turn(&self) {
        let at = match self.next.lock() {
            Ok(mut next) => {
                let at = (*next).max(Instant::now());
                *next = at + BETWEEN;
                at
            }
            // Nothing panics while it is held.
            Err(_) => Instant::now() + BETWEEN,
        };
        sleep_until(at).await;
    }

    /// The answer to a request, of at most so many bytes.
    pub(super) async fn get(&self, request: &Request, most: usize) -> Result<Vec<u8>, Refusal> {
        let mut attempt = 1;
        loop {
            let answer = timeout(self.wait, self.attempt(request, most)).await;
            let (refusal, pause) = match answer {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(refused)) => refused,
                Err(_) => {
                    let late = format!("no answer within {:?}", self.wait);
                    (Refusal::Unreachable(late), PAUSE)
                }
            };
            let may_pass = matches!(refusal, Refusal::Status(429 | 502 | 503 | 504, _));
            if !may_pass || attempt >= ATTEMPTS {
                return Err(refusal);
            }
            attempt += 1;
            tokio::time::sleep(pause.min(MAX_PAUSE)).await;
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        most: usize,
    ) -> Result<Vec<u8>, (Refusal, Duration)> {
        let (status, pause, body) = self.send(request).await.map_err(|r| (r, PAUSE))?;
        let limit = if status < 400 { most } else { 1 << 20 };
        let collected = Limited::new(body, limit).collect().await.map_err(|e| {
            let is_large = e.is::<http_body_util::LengthLimitError>();
            let refusal = if is_large {
                Refusal::TooLarge
            } else {
                Refusal::Unreachable(e.to_string())
            };
            (refusal, PAUSE)
        })?;
        let bytes: Vec<u8> = collected.to_bytes().into();
        if status < 400 {
            return Ok(bytes);
        }
        Err((Refusal::Status(status, words(&bytes)), pause))
    }

    /// Opens a watch: its answer does not end.
    pub(super) async fn open(&self, request: &Request) -> Result<Body, Refusal> {
        let sent = timeout(self.wait, self.send(request)).await;
        let (status, _, body) = sent.map_err(|_| Refusal::Unreachable("no answer".into()))??;
        if status < 400 {
            return Ok(body);
        }
        let limited = Limited::new(body, 1 << 20).collect().await;
        let bytes = limited.map(http_body_util::Collected::to_bytes);
        Err(Refusal::Status(status, words(&bytes.unwrap_or_default())))
    }

    async fn send(&self, request: &Request) -> Result<(u16, Duration, Body), Refusal> {
        self.turn().await;
        let answer = self.client.send(request.clone().map(Body::from)).await;
        let answer = answer.map_err(|e| refusal(&e))?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        if let Some(date) = header("date") {
            self.set_clock(&date);
        }
        let after = header("retry-after").and_then(|s| s.parse().ok());
        let pause = after.map(Duration::from_secs).unwrap_or(PAUSE);
        Ok((answer.status().as_u16(), pause, answer.into_body()))
    }

    /// Learns from the first answer how far the server's clock is ahead.
    fn set_clock(&self, date: &str) {
        if let (Ok(mut ahead), Some(server)) = (self.ahead.lock(), http_date(date)) {
            let difference = server.0 - now().0;
            let is_other = difference.abs() > SAME_CLOCK;
            ahead.get_or_insert(if is_other { difference } else { 0 });
        }
    }
}

/// `Mon, 30 Nov 2026 19:48:00 GMT`
fn http_date(text: &str) -> Option<Time> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Time(at.as_microsecond()))
}

/// What the server says about a request that it refuses.
fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message,
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}

fn refusal(error: &kube::Error) -> Refusal {
    let text = crate::error::CliError::failed("")
        .source(error)
        .causes
        .join(": ");
    match error {
        kube::Error::Auth(_) => Refusal::NoCredentials(super::context::without_output(&text)),
        _ => Refusal::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_server_is_read() {
        let at = http_date("Mon, 30 Nov 2026 19:48:00 GMT").unwrap();
        assert_eq!(at.to_string(), "2026-11-30T19:48:00Z");
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_refusal_has_the_words_of_the_server() {
        let status = br#"{"kind":"Status","code":403,"message":"pods is forbidden"}"#;
        assert_eq!(words(status), "pods is forbidden");
        assert_eq!(words(b"upstream connect error"), "upstream connect error");
    }
}
