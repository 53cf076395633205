//! Benchmarks: `cargo run --release -p kgrca-tests --bin bench -- NAME`. Each prints JSON lines
//! `{"name","value","unit"}`.

mod agent;
mod conformance;
mod engine;
mod masking;
mod process;
mod service;
mod stack;
mod tenants;

use serde_json::json;

/// The allocator of the shipped binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One figure.
pub(crate) fn figure(name: &str, value: f64, unit: &str) {
    #[expect(clippy::print_stdout, reason = "figures are the result")]
    {
        println!(
            "{}",
            json!({"name": name, "value": (value * 1000.0).round() / 1000.0, "unit": unit})
        );
    }
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "engine" => engine::engine(),
        "rca" => engine::rca(),
        "growth" => engine::growth(),
        "masking" => masking::masking(),
        "analyze" => process::analyze(),
        "cli" => process::cli(),
        "ingest" => service::ingest(),
        "api" => service::api(),
        "memory" => service::memory(),
        "agent" => agent::agent(),
        "logs" => agent::logs(),
        "stack" => stack::stack(),
        "tenants" => tenants::tenants(),
        "conformance" => conformance::conformance(),
        "all" => [
            engine::engine,
            engine::rca,
            engine::growth,
            masking::masking,
            process::analyze,
            process::cli,
            service::ingest,
            service::api,
            service::memory,
        ]
        .iter()
        .for_each(|f| f()),
        other => {
            #[expect(clippy::print_stderr, reason = "a usage message")]
            {
                eprintln!(
                    "unknown benchmark `{other}`, expected: engine rca growth masking analyze cli \
                     ingest api memory all; on servers: agent logs stack tenants conformance"
                );
            }
            std::process::abort();
        }
    }
}
