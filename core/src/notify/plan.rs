//! What becomes of one change of an incident: each receiver gets it, or there is a reason why not.

use std::collections::BTreeSet;

use super::{Config, Notice, Silence};
use crate::incident::State;
use crate::model::Time;

/// What was decided for one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Name of the receiver; empty when no route matches.
    pub receiver: String,
    /// What becomes of it.
    pub what: What,
}

/// What becomes of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is sent.
    Send,
    /// It is not sent.
    Muted(Reason),
}

/// Why a notification is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No route matches.
    NoRoute,
    /// A silence matches.
    Silenced {
        /// The silence.
        silence_id: String,
    },
    /// The receiver never heard of the incident: it needs not hear that it has ended.
    NotTold,
}

impl Reason {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::NoRoute => "no route matches".to_owned(),
            Self::Silenced { silence_id } => format!("silenced by {silence_id}"),
            Self::NotTold => "the receiver was not notified of the incident".to_owned(),
        }
    }
}

/// The receivers that were notified of the incident before.
pub type Told = BTreeSet<String>;

/// Decides who is notified of a change. Each change has at least one row, so that nothing is lost
/// without a trace. Whoever was notified of an incident hears of its end, also where no route
/// matches any longer or a silence began meanwhile; of an end, only they hear.
pub fn plan(
    config: &Config,
    silences: &[Silence],
    notice: &Notice,
    told: &Told,
    now: Time,
) -> Vec<Planned> {
    let ends = notice.state == State::Resolved;
    let silence = silences.iter().find(|s| s.covers(notice, now));
    let was_told = |name: &str| told.contains(name);
    let fate = |name: &str| match (ends, silence) {
        (true, _) if was_told(name) => What::Send,
        (true, _) => What::Muted(Reason::NotTold),
        (false, Some(silence)) => What::Muted(Reason::Silenced {
            silence_id: silence.silence_id.clone(),
        }),
        (false, None) => What::Send,
    };
    let mut names = routed(config, notice);
    let others = told.iter().map(String::as_str);
    let others = others.filter(|name| config.receiver(name).is_some());
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return vec![Planned {
            receiver: String::new(),
            what: What::Muted(Reason::NoRoute),
        }];
    }
    let planned = |name: &str| Planned {
        receiver: name.to_owned(),
        what: fate(name),
    };
    names.into_iter().map(planned).collect()
}

/// The receivers of the routes that match, each once.
fn routed<'c>(config: &'c Config, notice: &Notice) -> Vec<&'c str> {
    let mut found: Vec<&str> = Vec::new();
    for route in &config.routes {
        if !route.matcher.matches(notice) {
            continue;
        }
        if !found.contains(&route.receiver.as_str()) {
            found.push(&route.receiver);
        }
        if !route.continues {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests;
