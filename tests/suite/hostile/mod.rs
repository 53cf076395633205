//! What a tenant could try against the others, tried: a daemon stays up and answers, whatever one
//! tenant sends.

mod connections;
mod files;
mod graph_file;
mod headers;
mod query;
