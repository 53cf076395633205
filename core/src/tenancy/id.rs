//! Ids of tenants.

use std::fmt;

/// A well-formed tenant id. It comes from a key or from the operator; stores accept nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Box<str>);

impl TenantId {
    /// Parses `client-<slug>-<6 of a-z0-9>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (slug, suffix) = text.strip_prefix("client-")?.rsplit_once('-')?;
        let plain = |t: &str| {
            !t.is_empty()
                && t.bytes()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        };
        let well_formed = plain(slug)
            && slug.len() <= 48
            && suffix.len() == 6
            && plain(suffix)
            && !suffix.contains('-');
        well_formed.then(|| Self(text.into()))
    }

    /// The id as text; on the wire the field is `client_id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a new tenant, made from its name and 6 random characters of `a-z0-9`.
pub fn new_tenant_id(name: &str, random: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(24);
    let slug = slug.trim_matches('-');
    format!(
        "client-{}-{random}",
        if slug.is_empty() { "tenant" } else { slug }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_are_parsed() {
        assert!(TenantId::parse("client-acme-7f3k2a").is_some());
        for wrong in [
            "acme",
            "client-acme",
            "client-acme-7F3K2A",
            "client--7f3k2a/..",
            "client-a-7f3k2",
            "client-../x-7f3k2a",
        ] {
            assert!(TenantId::parse(wrong).is_none(), "{wrong}");
        }
        assert!(TenantId::parse(&new_tenant_id("ACME & Söhne GmbH", "7f3k2a")).is_some());
        assert!(TenantId::parse(&new_tenant_id("***", "7f3k2a")).is_some());
    }
}
