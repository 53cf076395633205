//! Receivers and routes, as a tenant writes them in YAML.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Matcher;
use super::secret::{HIDDEN, SecretText};

/// Most receivers of a tenant.
const MAX_RECEIVERS: usize = 20;
/// Most routes of a tenant.
const MAX_ROUTES: usize = 100;
/// Longest name, in bytes.
const MAX_NAME: usize = 63;
/// Longest URL, in bytes.
const MAX_URL: usize = 2048;
/// Fewest bytes of a secret that signs.
const MIN_SECRET: usize = 16;

/// Who hears of what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where notifications are sent.
    pub receivers: Vec<Receiver>,
    /// Which incidents each hears of. They are tried in order; the first that matches counts, and
    /// those behind it only where it says `continue`.
    pub routes: Vec<Route>,
}

/// A place that notifications are sent to: one of its fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Its name, for routes.
    pub name: String,
    /// A URL that gets signed JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// An incoming webhook of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Endpoint>,
    /// A workflow webhook of Microsoft Teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Endpoint>,
    /// An Alertmanager, by its root URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Endpoint>,
    /// The Events API of `PagerDuty`, version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<PagerDuty>,
}

/// A URL that gets JSON, signed after the Standard Webhooks specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where it is sent.
    pub url: SecretText,
    /// What signs it: `whsec_` and base64, or any text of at least 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
    /// The secret before it: during a rotation, both sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_secret: Option<SecretText>,
}

/// A URL that is secret: whoever has it can send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where it is sent.
    pub url: SecretText,
}

/// An integration of `PagerDuty`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// The integration's key.
    pub routing_key: SecretText,
    /// Where events are sent, if not to the address of `PagerDuty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretText>,
}

/// Which incidents a receiver hears of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name of the receiver.
    pub receiver: String,
    /// What it hears of; everything when empty.
    #[serde(default, rename = "match", skip_serializing_if = "Matcher::is_empty")]
    pub matcher: Matcher,
    /// Whether the routes behind it are tried, too.
    #[serde(
        default,
        rename = "continue",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub continues: bool,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads YAML.
    ///
    /// # Errors
    /// Names what is wrong, and the line where the YAML itself is.
    pub fn parse(yaml: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_yaml::from_str(yaml).map_err(|e| ConfigError(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// Writes YAML.
    ///
    /// # Errors
    /// When it cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        serde_yaml::to_string(self).map_err(|e| ConfigError(e.to_string()))
    }

    /// Replaces what is shown of secrets by those of an earlier configuration.
    ///
    /// # Errors
    /// When a secret is hidden that the earlier one does not have.
    pub fn with_secrets_of(mut self, earlier: Option<&Self>) -> Result<Self, ConfigError> {
        for receiver in &mut self.receivers {
            let known = earlier.and_then(|c| c.receiver(&receiver.name)).cloned();
            let mut known = known.unwrap_or_default();
            let name = receiver.name.clone();
            let before: Vec<(&str, String)> = known
                .secrets()
                .into_iter()
                .map(|(field, text)| (field, text.reveal().to_owned()))
                .collect();
            for (field, text) in receiver.secrets() {
                if !text.is_hidden() {
                    continue;
                }
                let stored = before.iter().find(|(known, _)| *known == field);
                let Some((_, stored)) = stored else {
                    let message = format!(
                        "receiver `{name}`: `{field}` is hidden, and no earlier one is stored"
                    );
                    return Err(ConfigError(message));
                };
                *text = stored.as_str().into();
            }
        }
        Ok(self)
    }

    /// The same without secrets, as it may be shown.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        for receiver in &mut self.receivers {
            for (_, text) in receiver.secrets() {
                text.hide();
            }
        }
        self
    }

    /// A receiver by its name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|r| r.name == name)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let fail = |message: String| Err(ConfigError(message));
        if self.receivers.len() > MAX_RECEIVERS || self.routes.len() > MAX_ROUTES {
            return fail(format!(
                "{} receivers and {} routes; the maximum is {MAX_RECEIVERS} and {MAX_ROUTES}",
                self.receivers.len(),
                self.routes.len()
            ));
        }
        let mut names = BTreeSet::new();
        for receiver in &self.receivers {
            if let Some(problem) = receiver.problem() {
                return fail(format!("receiver `{}`: {problem}", receiver.name));
            }
            if !names.insert(receiver.name.as_str()) {
                return fail(format!("two receivers have the name `{}`", receiver.name));
            }
        }
        for (at, route) in self.routes.iter().enumerate() {
            let place = format!("route {} (receiver `{}`)", at + 1, route.receiver);
            if !names.contains(route.receiver.as_str()) {
                return fail(format!("{place}: there is no such receiver"));
            }
            if let Some(problem) = route.matcher.problem() {
                return fail(format!("{place}: {problem}"));
            }
        }
        Ok(())
    }
}

impl Receiver {
    /// Its secrets, with the names of their fields.
    fn secrets(&mut self) -> Vec<(&'static str, &mut SecretText)> {
        let mut all = Vec::new();
        if let Some(webhook) = &mut self.webhook {
            all.push(("webhook.url", &mut webhook.url));
            all.extend(webhook.secret.as_mut().map(|s| ("webhook.secret", s)));
            all.extend(
                webhook
                    .old_secret
                    .as_mut()
                    .map(|s| ("webhook.old_secret", s)),
            );
        }
        all.extend(self.slack.as_mut().map(|e| ("slack.url", &mut e.url)));
        all.extend(self.teams.as_mut().map(|e| ("teams.url", &mut e.url)));
        let alertmanager = self.alertmanager.as_mut();
        all.extend(alertmanager.map(|e| ("alertmanager.url", &mut e.url)));
        if let Some(pagerduty) = &mut self.pagerduty {
            all.push(("pagerduty.routing_key", &mut pagerduty.routing_key));
            all.extend(pagerduty.url.as_mut().map(|url| ("pagerduty.url", url)));
        }
        all
    }

    /// The word for what it is.
    pub fn kind(&self) -> &'static str {
        let kinds = [
            ("webhook", self.webhook.is_some()),
            ("slack", self.slack.is_some()),
            ("teams", self.teams.is_some()),
            ("alertmanager", self.alertmanager.is_some()),
            ("pagerduty", self.pagerduty.is_some()),
        ];
        let set = kinds.iter().find(|(_, is_set)| *is_set);
        set.map(|(kind, _)| *kind).unwrap_or("none")
    }

    fn problem(&self) -> Option<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.chars().all(is_name) {
            return Some(format!(
                "a name has 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`"
            ));
        }
        let set = [
            self.webhook.is_some(),
            self.slack.is_some(),
            self.teams.is_some(),
            self.alertmanager.is_some(),
            self.pagerduty.is_some(),
        ];
        if set.into_iter().filter(|is_set| *is_set).count() != 1 {
            return Some(
                "needs exactly one of `webhook`, `slack`, `teams`, `alertmanager`, `pagerduty`"
                    .to_owned(),
            );
        }
        let mut own = self.clone();
        own.secrets()
            .into_iter()
            .find_map(|(field, text)| invalid(field, text))
    }
}

fn invalid(field: &str, text: &SecretText) -> Option<String> {
    let text = text.reveal();
    if text.contains(HIDDEN) {
        return None;
    }
    if field.ends_with("secret") {
        let is_short = text.len() < MIN_SECRET;
        return is_short.then(|| format!("`{field}` has fewer than {MIN_SECRET} characters"));
    }
    if !field.ends_with("url") {
        return text.is_empty().then(|| format!("`{field}` is empty"));
    }
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    let is_valid = is_http && is_plain && text.len() <= MAX_URL;
    (!is_valid).then(|| format!("`{field}` is not a valid URL: use https://HOST/PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
receivers:
  - name: oncall
    webhook: {url: https://hooks.example.com/a/b, secret: whsec_MfKQ9r8GKYqrTwjU}
  - name: team
    slack: {url: https://hooks.slack.com/services/T0/B0/secret}
routes:
  - receiver: oncall
    match: {severity: ERROR, namespace: shop*, states: [open, resolved]}
    continue: true
  - receiver: team
";

    fn error(yaml: &str) -> String {
        Config::parse(yaml).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert!(Config::parse(YAML).is_ok());
        let unknown = error("receivers: []\nroutes:\n  - receiver: x\n    mach: {}\n");
        assert!(
            unknown.contains("mach") && unknown.contains("line"),
            "{unknown}"
        );
        let missing = error(&YAML.replace("receiver: team", "receiver: tema"));
        assert_eq!(
            missing,
            "route 2 (receiver `tema`): there is no such receiver"
        );
        let twice = error(&YAML.replace("name: team", "name: oncall"));
        assert_eq!(twice, "two receivers have the name `oncall`");
        let url = error(&YAML.replace("https://hooks.slack.com", "ftp://hooks"));
        assert!(url.contains("`slack.url` is not a valid URL"), "{url}");
        let short = error(&YAML.replace("whsec_MfKQ9r8GKYqrTwjU", "short"));
        assert!(short.contains("fewer than 16"), "{short}");
    }

    #[test]
    fn secrets_are_hidden_and_come_back() {
        let stored = Config::parse(YAML).unwrap();
        let shown = serde_yaml::to_string(&stored.clone().hidden()).unwrap();
        assert!(
            !shown.contains("MfKQ9r8") && !shown.contains("B0/secret"),
            "{shown}"
        );
        assert!(
            shown.contains("https://hooks.slack.com/********"),
            "{shown}"
        );
        assert!(!format!("{stored:?}").contains("MfKQ9r8"));
        let again = Config::parse(&shown).unwrap();
        assert!(again.clone().with_secrets_of(None).is_err());
        assert_eq!(again.with_secrets_of(Some(&stored)).unwrap(), stored);
    }
}
