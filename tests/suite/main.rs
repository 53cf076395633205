//! kgrca seen from outside.

mod api;
mod arrows;
mod cli;
mod fuzz;
mod generated;
mod isolation;
mod properties;
mod scenarios;
