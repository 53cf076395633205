//! Real processes under real trouble.
#![expect(clippy::unwrap_used, reason = "these are tests: a panic is their answer")]

mod crash;
mod fleet;
mod onboarding;
mod power;
mod schema;
mod stores;
mod walls;
