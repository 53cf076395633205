//! Which incidents a route or a silence is about.

use serde::{Deserialize, Serialize};

use super::Notice;
use crate::incident::State;
use crate::model::Severity;

/// Conditions on an incident; all of those that are set have to hold. Names may have `*` for any
/// characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// At least as severe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The first cause has at least this confidence, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Name of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Namespace of the component that is blamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The component that is blamed, such as `app/cart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The fault, such as `runtime.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The states that the incident changed to; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
}

impl Matcher {
    /// Whether all conditions hold.
    pub fn matches(&self, notice: &Notice) -> bool {
        let name = |wanted: &Option<String>, own: Option<&str>| match wanted {
            Some(pattern) => like(pattern, own.unwrap_or_default()),
            None => true,
        };
        let severe = self.severity.map(|least| notice.severity >= least);
        let sure = self
            .confidence
            .map(|least| notice.confidence.unwrap_or(0.0) >= least);
        severe.unwrap_or(true)
            && sure.unwrap_or(true)
            && name(&self.cluster, Some(&notice.cluster))
            && name(&self.namespace, notice.namespace.as_deref())
            && name(&self.component, notice.component.as_deref())
            && name(&self.fault, notice.fault_type.as_deref())
            && (self.states.is_empty() || self.states.contains(&notice.state))
    }

    /// Whether it has no condition.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with a condition.
    ///
    /// It is `None` when all of them can be used.
    pub fn problem(&self) -> Option<String> {
        let names = [
            ("cluster", &self.cluster),
            ("namespace", &self.namespace),
            ("component", &self.component),
            ("fault", &self.fault),
        ];
        let long = names
            .iter()
            .find(|(_, name)| name.as_ref().is_some_and(|name| name.len() > 253));
        if let Some((field, _)) = long {
            return Some(format!("`{field}` is longer than 253 characters"));
        }
        let share = self.confidence.unwrap_or(0.0);
        let is_share = (0.0..=1.0).contains(&share);
        (!is_share).then(|| format!("`confidence` is {share}; it is between 0 and 1"))
    }
}

/// Whether a name is like a pattern, in which `*` stands for any characters. In linear time for
/// each `*`: the shortest match of each part is as good as any.
fn like(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, middle)) = parts.split_last() else {
        return true;
    };
    for part in middle {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("shop", "shop", true),
            ("shop", "shop-2", false),
            ("*", "", true),
            ("runtime.*", "runtime.oom_killed", true),
            ("app/*-api", "app/cart-api", true),
            ("app/*-api", "app/api", false),
            ("*a*a*", "banana", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(like(pattern, name), expected, "{pattern} {name}");
        }
    }
}
