//! Text: log messages, queries, parameters of requests, identifiers.

use std::time::Duration;

use kgrca_core::billing::{self, Metric};
use kgrca_core::detect::FaultId;
use kgrca_core::incident::State;
use kgrca_core::jobs::{JobCursor, JobKind, JobState};
use kgrca_core::model::object::Quantity;
use kgrca_core::model::{Alias, Kind, Severity, Time, Topic, address};
use kgrca_core::parse::mask;
use kgrca_core::rca::Scorer;
use kgrca_core::storage::KafkaUrl;
use kgrca_core::storage::cypher::{self, CypherQuery};
use kgrca_core::tenancy::{Network, TenantId, new_tenant_id};

/// A token of a forge, and what must not be left of it.
const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

/// A secret on a line of its own is masked, whatever is around it, and nothing stops the search.
pub fn masking(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    mask::secrets(&mask::line(&text));
    let at = text.char_indices().nth(text.chars().count() / 2);
    let (before, after) = text.split_at(at.map(|(at, _)| at).unwrap_or(0));
    let planted = format!("{before}\ntoken {TOKEN}\n{after}");
    let masked = mask::line(&planted);
    assert!(!masked.contains(TOKEN), "{masked}");
    mask::variable("PASSWORD", &text);
    mask::argument(Some("--password"), &text);
    for topic in Topic::ALL {
        mask::record(topic, input);
    }
}

/// No statement stops the checks, and whatever passes them does not write.
pub fn cypher(input: &[u8]) {
    let query = CypherQuery {
        text: String::from_utf8_lossy(input).into_owned(),
        parameters: serde_json::Map::new(),
        time: Duration::from_secs(1),
        rows: 10,
        bytes: 1000,
    };
    if cypher::refusal(&query).is_some() {
        return;
    }
    // Independently of the tokens: without strings, comments and quoted names, and where such a
    // word is not a label, a property or a parameter.
    if query
        .text
        .contains(['\'', '"', '`', '/', '.', ':', '$', '|', '&', '!', '%'])
    {
        return;
    }
    let words = query.text.split(|c: char| !c.is_alphanumeric() && c != '_');
    for word in words {
        let upper = word.to_uppercase();
        let writes = ["CREATE", "MERGE", "SET", "DELETE", "REMOVE", "LOAD", "DROP"];
        assert!(!writes.contains(&upper.as_str()), "{}", query.text);
    }
}

/// Values of query strings, and URLs of stores.
pub fn query(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(cursor) = JobCursor::parse(&text) {
        assert_eq!(JobCursor::parse(&cursor.to_string()), Some(cursor));
    }
    if let Some(time) = Time::parse(&text) {
        let written = time.to_string();
        assert!(!written.is_empty());
    }
    if let Some(severity) = Severity::parse(&text) {
        assert_eq!(Severity::parse(severity.as_str()), Some(severity));
    }
    if let Ok(fault) = text.parse::<FaultId>() {
        assert_eq!(fault.to_string().parse(), Ok(fault));
    }
    JobKind::parse(&text);
    JobState::parse(&text);
    State::parse(&text);
    Scorer::parse(&text);
    Metric::parse(&text);
    billing::find(&text);
    // A URL that cannot be read is reported.
    let _ = KafkaUrl::parse(&text);
}

/// Names of tenants, objects, hosts and networks.
pub fn identifiers(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(tenant) = TenantId::parse(&text) {
        assert_eq!(tenant.as_str(), text);
        assert!(!text.contains(['/', '.', '\0']), "it becomes a path");
    }
    let created = new_tenant_id(&text, "abc123");
    assert!(TenantId::parse(&created).is_some(), "{created}");
    if let Some(network) = Network::parse(&text) {
        assert_eq!(Network::parse(&network.to_string()), Some(network));
    }
    let kind = Kind::parse(&text);
    assert_eq!(Kind::parse(kind.as_str()), kind);
    Kind::of_group(&text, Some(&text));
    let _ = Alias::new(kind, &*text, &*text).to_string();
    address::in_text(&text).count();
    address::hosts_in_text(&text).count();
    Quantity::parse(&text);
    Topic::parse(&text);
}
