//! The request that a receiver gets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kgrca_core::notify::{Notice, Receiver, Webhook, body};
use kgrca_core::tenancy::TenantId;
use reqwest::header::{HeaderMap, HeaderValue};
use ring::hmac;

use crate::clock::now;
use crate::outbound::Failure;
use crate::usecases::App;

/// Where `PagerDuty` takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// What identifies a notification to its receiver, however often it is sent.
pub(super) fn id(transition: i64, receiver: &str) -> String {
    format!("ntf_{transition}_{receiver}")
}

/// Sends a notification once.
pub(super) async fn send(
    app: &App,
    tenant: &TenantId,
    receiver: &Receiver,
    notice: &Notice,
    id: &str,
) -> Result<(), Failure> {
    let Some(url) = url(receiver) else {
        return Err(Failure::lasting("the receiver has no address"));
    };
    let body = body(receiver, notice, tenant.as_str()).to_string();
    let seconds = now().0 / kgrca_core::model::time::SECOND;
    let headers = match &receiver.webhook {
        Some(webhook) => signed(webhook, id, seconds, &body)?,
        None => HeaderMap::new(),
    };
    app.outbound.post(&url, headers, body).await
}

fn url(receiver: &Receiver) -> Option<String> {
    if let Some(webhook) = &receiver.webhook {
        return Some(webhook.url.reveal().to_owned());
    }
    if let Some(endpoint) = receiver.slack.as_ref().or(receiver.teams.as_ref()) {
        return Some(endpoint.url.reveal().to_owned());
    }
    if let Some(endpoint) = &receiver.alertmanager {
        let root = endpoint.url.reveal().trim_end_matches('/');
        return Some(format!("{root}/api/v2/alerts"));
    }
    let pagerduty = receiver.pagerduty.as_ref()?;
    let own = pagerduty.url.as_ref().map(|url| url.reveal().to_owned());
    Some(own.unwrap_or_else(|| PAGERDUTY.to_owned()))
}

/// The headers of the Standard Webhooks specification. During a rotation both secrets sign.
fn signed(webhook: &Webhook, id: &str, seconds: i64, body: &str) -> Result<HeaderMap, Failure> {
    let secrets = webhook.secret.iter().chain(&webhook.old_secret);
    let signatures: Vec<String> = secrets
        .map(|secret| signature(secret.reveal(), id, seconds, body))
        .collect();
    let texts = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    let mut headers = HeaderMap::new();
    for (name, text) in texts {
        if text.is_empty() {
            continue;
        }
        let value = HeaderValue::from_str(&text);
        let value = value.map_err(|_| Failure::lasting(format!("invalid `{name}`")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// `v1,` and the HMAC-SHA-256 of id, time and body in base64.
fn signature(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let decoded = secret
        .strip_prefix("whsec_")
        .and_then(|text| STANDARD.decode(text).ok());
    let bytes = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn both_secrets_sign_during_a_rotation() {
        let webhook = Webhook {
            url: "https://example.com".into(),
            secret: Some("the new secret of it".into()),
            old_secret: Some("the old secret of it".into()),
        };
        let headers = signed(&webhook, "ntf_1_a", 5, "{}").unwrap();
        let signatures = headers["webhook-signature"].to_str().unwrap();
        assert_eq!(signatures.split(' ').count(), 2);
        assert!(signatures.split(' ').all(|s| s.starts_with("v1,")));
        let unsigned = Webhook {
            secret: None,
            old_secret: None,
            ..webhook
        };
        let headers = signed(&unsigned, "ntf_1_a", 5, "{}").unwrap();
        assert!(!headers.contains_key("webhook-signature"));
    }
}
