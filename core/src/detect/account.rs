//! The workload that a refusal of the API server is about: the text names its account, whoever
//! repeats it.

use std::collections::BTreeMap;

use super::View;
use super::text::find;
use crate::graph::Idx;
use crate::model::Kind;

/// How the API server names the user of a ServiceAccount.
const USER: &str = "system:serviceaccount:";

/// The only workload that uses the account that a text names.
pub(super) fn holder(view: &View<'_>, text: &str) -> Option<Idx> {
    let (namespace, name) = named(text)?;
    let account = view.graph.find(Kind::ServiceAccount, namespace, name)?;
    let holders: BTreeMap<_, Idx> = view
        .graph
        .incoming(account)
        .map(|(_, user)| view.top_owner(user))
        .filter(|user| view.exists(*user))
        .map(|user| (view.component_id(user), user))
        .collect();
    let mut holders = holders.into_values();
    holders.next().filter(|_| holders.next().is_none())
}

/// The namespace and the name of an account in a text.
fn named(text: &str) -> Option<(&str, &str)> {
    let rest = text.get(find(text, USER)? + USER.len()..)?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    let user = rest.split(|c: char| !is_part(c)).next()?;
    let (namespace, name) = user.split_once(':')?;
    (!name.is_empty() && !namespace.is_empty()).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_refusal_names_the_account() {
        let text = r#"User "system:serviceaccount:shop:operator" cannot list resource "pods""#;
        assert_eq!(named(text), Some(("shop", "operator")));
        assert_eq!(named("User \"system:node:n1\" cannot get pods"), None);
    }
}
