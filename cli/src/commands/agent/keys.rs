//! The secrets of a cluster's agents.

use kgrca_core::api::{CreatedKey, KeyLimits, NewOwnKey, Page, Stats};
use kgrca_core::tenancy::{ApiKey, Role};
use rand::RngExt;
use reqwest::Method;

use super::kafka_user;
use super::manifest::Secrets;
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};

const KEYS: &str = "/api/v1/keys";
const ALERTS_TOKEN_LENGTH: usize = 32;
const ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Secrets with the ID of the key among them, if it is a real one.
pub struct NewSecrets {
    /// The secrets themselves.
    pub secrets: Secrets,
    /// ID of the API key; `None` for placeholders.
    pub key_id: Option<String>,
}

/// The name of the API keys of a cluster's agents.
fn name(cluster: &str) -> String {
    format!("agent of {cluster}")
}

/// Placeholders for a dry run. Fails where [`create`] would fail.
pub fn placeholder(client: &Client) -> Result<NewSecrets> {
    let keys: Result<Page<ApiKey>> = client.get(As::Tenant, KEYS, &[]);
    keys.map_err(needs_admin)?;
    Ok(NewSecrets {
        secrets: Secrets {
            api_key: "placeholder".into(),
            alerts_token: "placeholder".into(),
        },
        key_id: None,
    })
}

/// Creates the API key of a cluster's agents, which sends for no other cluster, and a token for Alertmanager.
pub fn create(client: &Client, cluster: &str) -> Result<NewSecrets> {
    let limits = KeyLimits {
        cluster: Some(cluster.to_owned()),
        ..KeyLimits::default()
    };
    let request = NewOwnKey::new(name(cluster), Role::Agent, limits);
    let created: CreatedKey = client
        .send(Method::POST, As::Tenant, KEYS, &request)
        .map_err(needs_admin)?;
    let mut random = rand::rng();
    let alerts_token = (0..ALERTS_TOKEN_LENGTH)
        .map(|_| char::from(ALPHANUMERIC[random.random_range(0..ALPHANUMERIC.len())]))
        .collect();
    Ok(NewSecrets {
        secrets: Secrets {
            api_key: created.api_key,
            alerts_token,
        },
        key_id: Some(created.key.key_id),
    })
}

/// Revokes a key.
pub fn revoke(client: &Client, key_id: &str) -> Result {
    client.call(Method::DELETE, As::Tenant, &format!("{KEYS}/{key_id}"))
}

/// Revokes all keys of a cluster's agents. Returns how many there were.
pub fn revoke_all(client: &Client, cluster: &str) -> Result<usize> {
    let page: Page<ApiKey> = client.get(As::Tenant, KEYS, &[])?;
    let name = name(cluster);
    let is_agents = |k: &&ApiKey| k.name == name && k.revoked_at.is_none();
    let keys: Vec<&ApiKey> = page.items.iter().filter(is_agents).collect();
    for key in &keys {
        revoke(client, &key.key_id)?;
    }
    Ok(keys.len())
}

fn needs_admin(e: CliError) -> CliError {
    if e.kind == Kind::NotAllowed {
        e.hint("creating the agents' key needs an API key with the scope `admin`")
    } else {
        e
    }
}

/// Checks that a Kafka URL belongs to the tenant of the API key: with another one, a cluster's
/// records would be sent to another tenant.
pub fn check_kafka_user(client: &Client, url: &str) -> Result {
    let user = kafka_user(url)?;
    let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
    // Older servers do not report their tenant.
    if stats.client_id.is_empty() || stats.client_id == user.as_str() {
        return Ok(());
    }
    let message = format!(
        "--kafka names the user of {user}, but the API key belongs to {}",
        stats.client_id
    );
    Err(CliError::usage(message).hint("use the Kafka user of the same tenant, or another context"))
}
