//! kgrca seen from outside.

mod api;
mod arrows;
mod cli;
mod doors;
mod fuzz;
mod generated;
mod isolation;
mod judgement;
mod properties;
mod scenarios;
