//! What the words of a log template say, read once per template: detection asks at every instant.

use super::complaint::{self, Trouble};
use super::text::has;
use super::{apiserver, own_log};
use crate::episode::LogTemplate;

/// The answers as bits: the trouble in the lowest three, then who is turned away, then what a
/// server says of itself, then what is said of the control plane.
#[derive(Clone, Copy)]
pub(super) struct Reading(u32);

const TROUBLES: [Option<Trouble>; 8] = [
    None,
    Some(Trouble::Refused),
    Some(Trouble::Unresolved),
    Some(Trouble::TimedOut),
    Some(Trouble::Failed),
    Some(Trouble::Distrusted),
    Some(Trouble::Garbled),
    Some(Trouble::Incompatible),
];
const CLIENT_SIDE: u32 = 3;
const OWN: u32 = 8;
const STORE: u32 = 16;
const SLOW_SERVER: u32 = 17;

impl Reading {
    pub(super) fn of(log: &LogTemplate) -> Self {
        Self(log.class(|text| {
            let trouble = complaint::trouble(text);
            let place = TROUBLES.iter().position(|t| *t == trouble).unwrap_or(0);
            let of_store = u32::from(has(text, &apiserver::STORE)) << STORE;
            let of_server = u32::from(has(text, &apiserver::SLOW)) << SLOW_SERVER;
            place as u32
                | own_log::client_side(text) << CLIENT_SIDE
                | own_log::own(text) << OWN
                | of_store
                | of_server
        }))
    }

    /// Of what a caller complains, if it does.
    pub(super) fn trouble(self) -> Option<Trouble> {
        TROUBLES[(self.0 & 7) as usize]
    }

    /// Whether the `i`th kind of refusal that clients log is meant.
    pub(super) fn is_client_side(self, i: usize) -> bool {
        self.0 >> CLIENT_SIDE >> i & 1 == 1
    }

    /// Whether the `i`th kind of trouble that servers have with themselves is meant.
    pub(super) fn is_own(self, i: usize) -> bool {
        self.0 >> OWN >> i & 1 == 1
    }

    /// Whether it says anything about a dependency.
    pub(super) fn is_silent(self) -> bool {
        (self.0 >> CLIENT_SIDE) & ((1 << (STORE - CLIENT_SIDE)) - 1) == 0
    }

    /// Whether the API server's store is not well.
    pub(super) fn tells_of_store(self) -> bool {
        self.0 >> STORE & 1 == 1
    }

    /// Whether the API server is slow.
    pub(super) fn tells_of_slow_server(self) -> bool {
        self.0 >> SLOW_SERVER & 1 == 1
    }
}
