//! `kgrca key rotate`

use kgrca_core::api::{CreatedKey, Page, Rotation};
use kgrca_core::tenancy::{ApiKey, KeyText};
use reqwest::Method;

use super::{Env, Owner, path, show};
use crate::client::{As, Client};
use crate::context::{self, Contexts, Secret, variable};
use crate::error::Result;

pub(super) fn run(
    env: &Env<'_>,
    client: &Client,
    owner: &Owner,
    id: &str,
    rotation: Rotation,
) -> Result {
    let keys = path(owner);
    let known: Page<ApiKey> = client.get(owner.key(), &keys, &[])?;
    let path = format!("{keys}/{id}/rotate");
    let created: CreatedKey = client.send(Method::POST, owner.key(), &path, &rotation)?;
    show(env, &created)?;
    let overlap_hours = rotation.overlap_seconds.unwrap_or_default() / 3600;
    if overlap_hours > 0 {
        env.out.message(&format!(
            "{id} stays valid for {overlap_hours} hours; revoke it sooner with \
             `kgrca key revoke {id}{}`",
            owner.flags()
        ));
    }
    match known.items.into_iter().find(|key| key.key_id == id) {
        Some(old) => replace(env, client, &old, &created.api_key),
        None => Ok(()),
    }
}

/// Replaces the old key by the new one wherever this machine keeps it.
fn replace(env: &Env<'_>, client: &Client, old: &ApiKey, new: &str) -> Result {
    let mut all = context::load()?;
    let changed = replace_stored(&mut all, client.url(), old, new);
    if !changed.is_empty() {
        context::save(&all)?;
        let names = changed.join(", ");
        env.out
            .message(&format!("stored the new key in context {names}"));
    }
    for name in [As::Tenant.variable(), As::Operator.variable()] {
        if variable(name).is_some_and(|value| is_same(&value, old)) {
            env.out.message(&format!(
                "{name} still has the old key: set it to the new one"
            ));
        }
    }
    Ok(())
}

/// Replaces a key in all contexts of a server. Returns their names.
fn replace_stored(all: &mut Contexts, url: &str, old: &ApiKey, new: &str) -> Vec<String> {
    let mut changed = Vec::new();
    for (name, context) in all.contexts.iter_mut().filter(|(_, c)| c.url == url) {
        for slot in [&mut context.api_key, &mut context.operator_key] {
            if slot.as_ref().is_some_and(|key| is_same(key.expose(), old)) {
                *slot = Some(Secret::new(new));
                changed.push(name.clone());
            }
        }
    }
    changed
}

/// Whether a secret is that of a key: all that is known of it are its owner and its end.
fn is_same(secret: &str, key: &ApiKey) -> bool {
    KeyText::of(secret).tenant_id() == key.client_id && secret.ends_with(&key.last4)
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::Time;
    use kgrca_core::tenancy::key_text;

    use super::*;
    use crate::context::Context;

    #[test]
    fn the_new_key_takes_the_place_of_the_old_one_in_the_contexts_of_its_server() {
        let secret = key_text(
            Some("client-acme-7f3k2a"),
            "0123456789abcdefghijABCDEFGHIJ01",
        );
        let old = ApiKey {
            key_id: "key_1".into(),
            client_id: Some("client-acme-7f3k2a".into()),
            name: String::new(),
            last4: secret[secret.len() - 4..].into(),
            scopes: Vec::new(),
            created_at: Time(0),
            expires_at: None,
            revoked_at: None,
            replaced_by: None,
            allowed_networks: Vec::new(),
            cluster: None,
            certificate_sha256: None,
            last_used_at: None,
            last_used_from: None,
        };
        let context = |url: &str, api_key: &str| Context {
            url: url.into(),
            api_key: Some(Secret::new(api_key)),
            operator_key: Some(Secret::new("kg_operator_x")),
        };
        let mut all = Contexts::default();
        let stored = [
            ("here", context("http://a", &secret)),
            ("elsewhere", context("http://b", &secret)),
            ("another", context("http://a", "kg_acme-7f3k2a_other")),
        ];
        for (name, context) in stored {
            all.contexts.insert(name.into(), context);
        }
        assert_eq!(replace_stored(&mut all, "http://a", &old, "new"), ["here"]);
        let key = |name: &str| all.contexts[name].api_key.clone().unwrap();
        assert_eq!(key("here").expose(), "new");
        assert_eq!(key("elsewhere").expose(), secret);
        assert_eq!(key("another").expose(), "kg_acme-7f3k2a_other");
    }
}
