//! The core of kgrca: records, the live graph, detection, incidents, root causes, billing and
//! stores.
//!
//! All modules but `storage` are plain synchronous functions over plain data: no clock, no
//! randomness, no IO. Times and ids are arguments, so that the same records give the same bytes.

pub mod analyze;
pub mod api;
pub mod billing;
pub mod change;
pub mod detect;
pub mod engine;
pub mod episode;
pub mod forms;
pub mod graph;
pub mod incident;
pub mod jobs;
pub mod lab;
pub mod model;
pub mod notify;
pub mod parse;
pub mod rca;
pub mod storage;
pub mod tenancy;
pub mod trouble;
