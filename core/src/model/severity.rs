//! Severities of episodes and incidents.

use serde::{Deserialize, Serialize};

/// Severity of an episode or incident, ordered from least to worst.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Details for developers.
    Debug,
    /// Normal operation; Kubernetes' `Normal`.
    #[default]
    Info,
    /// Something may be wrong.
    Warning,
    /// Something failed.
    Error,
    /// Users are affected.
    Critical,
    /// The process has exited.
    Fatal,
}

impl Severity {
    /// Reads a severity in any spelling that senders use; `None` for other words.
    pub fn parse(word: &str) -> Option<Self> {
        let mut lower = [0_u8; 16];
        let word = word.trim().as_bytes();
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"debug" | b"dbg" => Self::Debug,
            b"normal" | b"info" | b"information" | b"notice" | b"log" | b"none" => Self::Info,
            b"warning" | b"warn" => Self::Warning,
            b"error" | b"err" | b"severe" => Self::Error,
            b"critical" | b"crit" | b"page" | b"emergency" | b"alert" => Self::Critical,
            // nginx and httpd exit after `emerg`.
            b"fatal" | b"panic" | b"emerg" => Self::Fatal,
            _ => return None,
        })
    }

    /// The next higher severity, for repeated events.
    #[must_use]
    pub fn escalated(self) -> Self {
        match self {
            Self::Debug => Self::Info,
            Self::Info => Self::Warning,
            Self::Warning => Self::Error,
            Self::Error => Self::Critical,
            Self::Critical | Self::Fatal => Self::Fatal,
        }
    }

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
            Self::Fatal => "FATAL",
        }
    }
}
