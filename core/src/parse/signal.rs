//! The kinds of records, and everything that depends on the kind: a row each.

use super::{Context, Reason, Reject, act, alert, event, log, object, topology};
use crate::model::{Record, Topic};

type Parser = fn(&str, &Context<'_>, &mut Vec<Record>) -> Result<(), Reject>;

/// What records of one topic are keyed by in the log. They lie in their cluster's partition in
/// either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The object's id: only the newest record of each object is kept, without an end in time.
    Object,
    /// The cluster's name: records are kept for the plan's retention.
    Cluster,
}

/// A kind of record.
#[derive(Debug)]
pub struct Signal {
    /// Its stream in the log.
    pub topic: Topic,
    /// The last part of its ingest route, `/api/v1/ingest/<route>`; `None` when only the daemon
    /// writes such records.
    pub route: Option<&'static str>,
    /// What its records are keyed by.
    pub key: Key,
    /// Whether accepted records count as billable events.
    pub is_metered: bool,
    /// Whether agents send it.
    pub is_sent_by_agents: bool,
    parser: Parser,
}

static RESOURCES: Signal = Signal {
    topic: Topic::Resource,
    route: Some("resources"),
    key: Key::Object,
    is_metered: false,
    is_sent_by_agents: true,
    parser: object::parse,
};

static TOPOLOGY: Signal = Signal {
    topic: Topic::Topology,
    route: Some("topology"),
    key: Key::Object,
    is_metered: false,
    is_sent_by_agents: false,
    parser: topology::parse,
};

static EVENTS: Signal = Signal {
    topic: Topic::Events,
    route: Some("events"),
    key: Key::Cluster,
    is_metered: true,
    is_sent_by_agents: true,
    parser: event::parse,
};

static LOGS: Signal = Signal {
    topic: Topic::Logs,
    route: Some("logs"),
    key: Key::Cluster,
    is_metered: true,
    is_sent_by_agents: true,
    parser: log::parse,
};

static ALERTS: Signal = Signal {
    topic: Topic::Alerts,
    route: Some("alerts"),
    key: Key::Cluster,
    is_metered: true,
    is_sent_by_agents: true,
    parser: alert::parse,
};

static CONTROL: Signal = Signal {
    topic: Topic::Control,
    route: None,
    key: Key::Cluster,
    is_metered: false,
    is_sent_by_agents: false,
    parser: act::parse,
};

static DEAD_LETTERS: Signal = Signal {
    topic: Topic::Dlq,
    route: None,
    key: Key::Cluster,
    is_metered: false,
    is_sent_by_agents: false,
    parser: |_, _, _| {
        Err(Reject::new(
            Reason::UnknownShape,
            "dead letters are not input",
        ))
    },
};

impl Signal {
    /// The signals that senders write.
    pub const INPUTS: [&'static Self; 5] = [&EVENTS, &LOGS, &ALERTS, &RESOURCES, &TOPOLOGY];

    fn of(topic: Topic) -> &'static Self {
        match topic {
            Topic::Resource => &RESOURCES,
            Topic::Topology => &TOPOLOGY,
            Topic::Events => &EVENTS,
            Topic::Logs => &LOGS,
            Topic::Alerts => &ALERTS,
            Topic::Control => &CONTROL,
            Topic::Dlq => &DEAD_LETTERS,
        }
    }

    /// The signal with this ingest route.
    pub fn by_route(route: &str) -> Option<&'static Self> {
        Self::INPUTS.into_iter().find(|s| s.route == Some(route))
    }

    /// The signal of a topic's name, with or without the tenant prefix.
    ///
    /// # Errors
    /// When there is no such topic, or senders cannot write to it.
    pub fn input(topic: &str) -> Result<&'static Self, UnknownTopic> {
        let signal = Topic::parse(topic).map(Self::of);
        signal
            .filter(|s| s.route.is_some())
            .ok_or_else(|| UnknownTopic(topic.to_owned()))
    }

    /// Whether only the newest record of each key is kept, without an end in time.
    pub fn is_compacted(&self) -> bool {
        self.key == Key::Object
    }

    /// Reads the text of a record and appends what it holds to `out`.
    pub(super) fn parse(
        &self,
        text: &str,
        context: &Context<'_>,
        out: &mut Vec<Record>,
    ) -> Result<(), Reject> {
        (self.parser)(text, context, out)
    }
}

impl Topic {
    /// What depends on the kind of record.
    pub fn signal(self) -> &'static Signal {
        Signal::of(self)
    }

    /// The topics that senders write to.
    pub fn inputs() -> [Self; 5] {
        Signal::INPUTS.map(|signal| signal.topic)
    }
}

/// A name that is not a topic senders write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTopic(pub String);

impl std::fmt::Display for UnknownTopic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known: Vec<&str> = Signal::INPUTS.iter().map(|s| s.topic.as_str()).collect();
        write!(
            f,
            "unknown topic `{}`; expected one of {}",
            self.0,
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownTopic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_has_one_signal_and_each_input_one_route() {
        for topic in Topic::ALL {
            let signal = topic.signal();
            assert_eq!(signal.topic, topic);
            let by_route = signal.route.and_then(Signal::by_route);
            assert_eq!(by_route.map(|s| s.topic), signal.route.map(|_| topic));
            let is_input = Signal::INPUTS.iter().any(|s| s.topic == topic);
            assert_eq!(is_input, signal.route.is_some());
        }
    }

    #[test]
    fn an_unknown_topic_is_an_error_and_never_a_default() {
        let alerts = Signal::input("client-a-abc123.alerts.raw").unwrap();
        assert_eq!(alerts.route, Some("alerts"));
        for name in ["traces.raw", "dlq", "control", ""] {
            let error = Signal::input(name).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
        assert!(Signal::by_route("traces").is_none());
    }
}
