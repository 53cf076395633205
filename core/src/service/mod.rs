//! Use cases that need no server: analysing files of records and measuring the engine on labelled
//! ones.

pub mod analyze;
pub mod disturb;
pub mod eval;
pub mod fit;
pub mod report;
