//! Tests that need no server: the engine as a library, the daemon and the CLI as processes.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod api;
mod api_errors;
mod arrows;
mod changes;
mod cli;
mod conditions;
mod docs;
mod encryption;
mod fuzz;
mod gates;
mod generated;
mod history;
mod hostile;
mod hostile_output;
mod indirect_evidence;
mod ingest;
mod isolation;
mod jobs;
mod krew;
mod lost_key;
mod masking;
mod migrations;
mod notify;
mod openapi;
mod partial_input;
mod properties;
mod reported_changes;
mod rotation;
mod scenarios;
mod unreadable;
mod verdicts;
mod wording;
