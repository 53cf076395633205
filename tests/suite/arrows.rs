//! The shape: no arrow between command line and daemon, none out of core, none backwards in the
//! engine.

use std::path::Path;

use kgrca_tests::repository;

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

fn all(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&repository().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

#[test]
fn packages_point_only_to_core() {
    for (folder, forbidden) in [
        ("core", &["kgrca_cli", "kgrca_daemon"][..]),
        ("cli", &["kgrca_daemon"]),
        ("daemon", &["kgrca_cli"]),
    ] {
        for (file, text) in all(&format!("{folder}/src")) {
            for name in forbidden {
                assert!(!text.contains(name), "{file} uses {name}");
            }
        }
    }
}

#[test]
fn the_engine_flows_one_way() {
    // In the order of the data; a module may use those before it. `parse` reads addresses with
    // `graph::address`.
    let order = [
        "model", "parse", "graph", "episode", "detect", "incident", "rca", "engine", "lab",
        "storage", "api",
    ];
    for (place, module) in order.iter().enumerate().take(8) {
        for (file, text) in all(&format!("core/src/{module}")) {
            for later in &order[place + 1..] {
                let uses = text.contains(&format!("crate::{later}::"))
                    || text.contains(&format!("use crate::{later};"));
                let allowed = *module == "parse"
                    && *later == "graph"
                    && !text
                        .replace("crate::graph::address::", "")
                        .contains("crate::graph::");
                assert!(!uses || allowed, "{file} uses {later}");
            }
        }
    }
}

#[test]
fn the_engine_is_pure() {
    for module in [
        "model", "parse", "graph", "episode", "detect", "incident", "rca", "engine", "billing",
    ] {
        for (file, text) in all(&format!("core/src/{module}")) {
            for forbidden in [
                "SystemTime",
                "Instant::now",
                "Timestamp::now",
                "std::env",
                "std::fs",
                "std::net::Tcp",
                "async fn",
                "rand::",
            ] {
                assert!(!text.contains(forbidden), "{file} uses {forbidden}");
            }
        }
    }
}

#[test]
fn the_agent_alone_needs_nothing_of_the_server() {
    let tree = std::process::Command::new("cargo")
        .args([
            "tree",
            "--locked",
            "--offline",
            "--package",
            "kgrca-daemon",
            "--no-default-features",
            "--features",
            "agent",
        ])
        .args(["--edges", "normal", "--prefix", "none"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let has = |name: &str| tree.lines().any(|l| l.split(' ').next() == Some(name));
    assert!(has("kube-client") && has("reqwest"), "{tree}");
    for name in [
        "sqlx",
        "neo4rs",
        "redis",
        "marsdb-graph",
        "utoipa-axum",
        "kafka-protocol",
    ] {
        assert!(!has(name), "the agent would ship {name}");
    }
}
