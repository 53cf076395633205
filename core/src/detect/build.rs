//! Building findings and their evidence.

use super::finding::{Evidence, Finding, Strength};
use super::text::short;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::{Alert, Command, Episode, Kind};

/// Maximum length of a quotation in evidence, in characters.
const QUOTE: usize = 300;

/// A finding under construction.
pub(super) struct Builder(Finding);

impl View<'_> {
    /// Starts a finding: the fault, the resource at fault, the resource that shows it, and how
    /// strong the evidence is.
    pub(super) fn finding(
        &self,
        fault: FaultId,
        blamed: Idx,
        on: Idx,
        strength: Strength,
    ) -> Builder {
        let message = String::new();
        Builder(Finding {
            fault,
            blamed,
            on,
            strength,
            since: self.now,
            active: false,
            message,
            port: None,
            evidence: Vec::new(),
            fix: None,
        })
    }

    /// An event as evidence.
    pub(super) fn event_evidence(&self, idx: Idx, event: &Episode) -> Evidence {
        let times = if event.count > 1 {
            format!(" ({}×)", event.count)
        } else {
            String::new()
        };
        let id = match event.id.as_deref() {
            Some(id) => id.to_owned(),
            None => format!("{}/{}", self.graph.get(idx).alias, event.reason),
        };
        Evidence {
            id,
            at: event.last,
            resource: idx,
            what: format!("{}{times}: {}", event.reason, short(&event.message, QUOTE)),
        }
    }

    /// A log template as evidence.
    pub(super) fn log_evidence(&self, idx: Idx, log: &LogTemplate) -> Evidence {
        let times = if log.count > 1 {
            format!(" ({}×)", log.count)
        } else {
            String::new()
        };
        let id = format!("{}/log/{:016x}", self.graph.get(idx).alias, log.pattern);
        Evidence {
            id,
            at: log.last,
            resource: idx,
            what: format!(
                "{} log{times}: {}",
                log.severity.as_str(),
                short(&log.sample, QUOTE)
            ),
        }
    }

    /// A firing alert as evidence.
    pub(super) fn alert_evidence(&self, idx: Idx, alert: &Alert) -> Evidence {
        let what = format!(
            "alert {}: {}",
            alert.name,
            short(&alert.annotations.to_text(), 200)
        );
        Evidence {
            id: alert.fingerprint.to_string(),
            at: alert.starts,
            resource: idx,
            what,
        }
    }

    /// A fact from an object's state as evidence.
    pub(super) fn state_evidence(&self, idx: Idx, what: String) -> Evidence {
        let node = self.graph.get(idx);
        let at = node.known_at().min(self.now);
        Evidence {
            id: node.id(),
            at,
            resource: idx,
            what,
        }
    }

    /// The kind as kubectl accepts it: `deployment`, `pod`.
    pub(super) fn kind_word(&self, idx: Idx) -> String {
        self.graph.get(idx).kind().as_str().to_lowercase()
    }

    /// A command about a resource: a template with `<namespace>`, `<kind>` and `<name>`.
    pub(super) fn command(&self, template: &str, idx: Idx) -> Command {
        let node = self.graph.get(idx);
        Command::of(template).fill([
            ("namespace", node.namespace()),
            ("kind", &*self.kind_word(idx)),
            ("name", node.name()),
        ])
    }

    /// ``Deployment `cart` ``
    pub(crate) fn title(&self, idx: Idx) -> String {
        let node = self.graph.get(idx);
        format!("{} `{}`", node.kind(), node.name())
    }

    /// The node that a pod runs on.
    pub(super) fn node_of(&self, pod: Idx) -> Option<Idx> {
        let mut out = self.graph.out(pod);
        out.find(|(r, _)| *r == Relation::RunsOn)
            .map(|(_, node)| node)
    }

    /// The nodes that exist, in order.
    pub(super) fn nodes(&self) -> Vec<Idx> {
        self.graph
            .of_kind(&Kind::Node)
            .filter(|i| self.graph.get(*i).is_live())
            .collect()
    }
}

impl Builder {
    pub(super) fn active(mut self, active: bool) -> Self {
        self.0.active = active;
        self
    }

    pub(super) fn message(mut self, message: impl Into<String>) -> Self {
        // Nothing is said about a namespace that is not known.
        self.0.message = message.into().replace(" in namespace ``", "");
        self
    }

    pub(super) fn port(mut self, port: i64) -> Self {
        self.0.port = Some(port);
        self
    }

    pub(super) fn with(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.0.evidence.extend(evidence);
        self
    }

    pub(super) fn fix(mut self, command: impl Into<Option<Command>>) -> Self {
        self.0.fix = command.into().filter(|command| !command.is_empty());
        self
    }

    /// Completes the finding with its evidence in time order; it begins with the oldest evidence.
    pub(super) fn build(mut self) -> Finding {
        self.0
            .evidence
            .sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        self.0.evidence.dedup();
        if let Some(first) = self.0.evidence.first() {
            self.0.since = first.at;
        }
        self.0
    }
}
