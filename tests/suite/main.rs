//! kgrca seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: a panic is their answer"
)]

mod api;
mod arrows;
mod cli;
mod doors;
mod fragments;
mod fuzz;
mod generated;
mod history;
mod isolation;
mod judgement;
mod properties;
mod scenarios;
mod told;
