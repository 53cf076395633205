//! What kgrca *is*: records, the knowledge graph, detection, incidents, root causes, billing and
//! stores.
//!
//! The engine modules (`model parse graph detect incident rca billing`) are plain synchronous
//! functions over plain data: no clock, no randomness, no IO. Times and ids are arguments, so the
//! same records give the same bytes.

pub mod analyze;
pub mod api;
pub mod billing;
pub mod detect;
pub mod engine;
pub mod episode;
pub mod graph;
pub mod incident;
pub mod lab;
pub mod model;
pub mod parse;
pub mod rca;
pub mod storage;
pub mod tenancy;
