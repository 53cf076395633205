use super::*;
use crate::notify::Config;

fn notice(state: State) -> Notice {
    serde_json::from_value(json!({
        "incident_id": "inc-12", "state": state, "at": "2026-01-01T10:05:00Z", "by": "engine",
        "severity": "ERROR", "started_at": "2026-01-01T10:00:00Z", "cluster": "prod",
        "namespace": "shop", "component": "app/cart", "fault_type": "service.selector_mismatch",
        "confidence": 0.934, "cause": "Service `cart` selects <nothing> & fails", "evidence": 3,
        "change": "Service `cart`: spec.selector.app: cart → cart-v2 by jane",
        "fix": "kubectl -n shop patch service cart",
    }))
    .unwrap()
}

fn receiver(kind: &str) -> Receiver {
    let yaml = format!("receivers:\n  - name: a\n    {kind}\nroutes: []\n");
    Config::parse(&yaml).unwrap().receivers.remove(0)
}

fn sent(kind: &str, state: State) -> Value {
    body(&receiver(kind), &notice(state), "client-acme-abc123")
}

const TITLE: &str = "[ERROR] inc-12 open: Service `cart` selects <nothing> & fails (93 %)";

#[test]
fn the_first_line_has_the_cause() {
    assert_eq!(notice(State::Open).title(), TITLE);
    let unknown = Notice {
        cause: None,
        confidence: None,
        ..notice(State::Open)
    };
    assert_eq!(unknown.title(), "[ERROR] inc-12 open: no cause found yet");
    let lines: Vec<String> = notice(State::Open)
        .lines()
        .into_iter()
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    assert_eq!(
        lines,
        [
            "Component: shop app/cart",
            "Cluster: prod",
            "Fault: service.selector_mismatch",
            "Evidence: 3",
            "Changed before: Service `cart`: spec.selector.app: cart → cart-v2 by jane",
            "Fix: kubectl -n shop patch service cart",
            "Started: 2026-01-01T10:00:00Z",
            "Details: kgrca rca inc-12",
        ]
    );
}

#[test]
fn slack_gets_text_and_no_markup_of_records() {
    let sent = sent("slack: {url: https://hooks.example.com/x}", State::Open);
    let escaped = "[ERROR] inc-12 open: Service `cart` selects &lt;nothing&gt; &amp; fails (93 %)";
    assert_eq!(sent["text"], escaped);
    assert_eq!(sent["blocks"][0]["text"]["text"], format!("*{escaped}*"));
    let body = sent["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(
        body.contains("*Fix*\n```kubectl -n shop patch service cart```"),
        "{body}"
    );
}

#[test]
fn a_webhook_gets_type_time_and_data() {
    let sent = sent(
        "webhook: {url: https://hooks.example.com/x}",
        State::Resolved,
    );
    assert_eq!(sent["type"], "incident.resolved");
    assert_eq!(sent["timestamp"], "2026-01-01T10:05:00Z");
    assert_eq!(sent["data"]["incident"]["component"], "app/cart");
}

#[test]
fn pagerduty_follows_the_incident_under_one_key() {
    let kind = "pagerduty: {routing_key: R0123456789abcdef}";
    let (opened, ended) = (sent(kind, State::Open), sent(kind, State::Resolved));
    assert_eq!(opened["event_action"], "trigger");
    assert_eq!(
        sent(kind, State::Acknowledged)["event_action"],
        "acknowledge"
    );
    assert_eq!(ended["event_action"], "resolve");
    assert_eq!(opened["dedup_key"], ended["dedup_key"]);
    assert_eq!(opened["routing_key"], "R0123456789abcdef");
    assert_eq!(opened["payload"]["severity"], "error");
}

#[test]
fn an_alert_keeps_its_labels_until_it_ends() {
    let kind = "alertmanager: {url: https://alertmanager.example.com}";
    let (opened, ended) = (sent(kind, State::Open), sent(kind, State::Resolved));
    assert_eq!(opened[0]["labels"], ended[0]["labels"]);
    assert_eq!(opened[0].get("endsAt"), None);
    assert_eq!(ended[0]["endsAt"], "2026-01-01T10:05:00Z");
}

#[test]
fn teams_gets_an_adaptive_card() {
    let sent = sent(
        "teams: {url: https://example.webhook.office.com/x}",
        State::Open,
    );
    let card = &sent["attachments"][0]["content"];
    assert_eq!(card["type"], "AdaptiveCard");
    assert_eq!(card["body"][0]["text"], TITLE);
}

#[test]
fn long_texts_are_cut_at_whole_characters() {
    let long = Notice {
        cause: Some("ü".repeat(5000)),
        fix: Some("ü".repeat(5000)),
        ..notice(State::Open)
    };
    assert_eq!(long.title().chars().count(), MAX_TITLE);
    let slack = slack(&long).to_string();
    assert!(slack.chars().count() < 4000);
}
