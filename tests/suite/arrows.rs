//! Which module may use which. Every module of every package has its line; a module without one
//! fails the test, so that whoever adds one decides where it belongs.

use std::collections::BTreeMap;

use kgrca_tests::repository;
use kgrca_tests::source::sources;

/// A module of core and what it may use of core besides itself.
const CORE: &str = "
    # The engine, in the order of the data.
    model
    trouble:   model
    change:    model
    parse:     model change trouble
    forms:     model trouble
    graph:     model
    episode:   model graph trouble
    detect:    model graph episode trouble
    incident:  model graph episode detect trouble
    rca:       model change graph episode detect incident
    engine:    model change parse graph episode detect incident rca

    # What uses the engine.
    analyze:   model change parse forms graph episode detect incident rca engine
    lab:       model parse graph detect incident rca engine analyze

    # What customers pay, own and store.
    billing:   model
    tenancy:   model billing
    jobs:      model tenancy
    notify:    model incident
    storage:   model parse graph episode incident rca engine billing tenancy jobs notify

    # The wire.
    api:       model change detect incident rca billing tenancy jobs notify storage
";

/// A module of the daemon and what it may use of the daemon besides itself and `BASE`.
const DAEMON: &str = "
    http:      usecases telemetry
    usecases:  tenancy workers storage telemetry config checks api_key outbound
    jobs:      usecases tenancy storage telemetry
    tenancy:   workers storage telemetry api_key
    workers:   storage telemetry
    storage:   kafka telemetry config sandbox
    sandbox:   telemetry
    checks:    storage telemetry
    api_key:
    outbound:
    telemetry:
    kafka:
    config:    agent
    tls:       config
    agent:     kafka

    # Start and stop: wires all of them.
    server:    http usecases jobs tenancy workers storage checks telemetry kafka config tls api_key
    command:   server agent config
    main:

    admission:
    error:
    budget:
    clock:
    environment:
    places:
    private:
    random:
    runtime:
    secret:
    source:
    probe:
";

/// What every module of the daemon may use.
const BASE: &[&str] = &[
    "admission",
    "error",
    "budget",
    "clock",
    "environment",
    "places",
    "private",
    "random",
    "runtime",
    "secret",
    "source",
    "probe",
];

/// Where types of the web framework may appear: routes, listeners and TLS.
const SPEAKS_HTTP: &[&str] = &[
    "http",
    "server",
    "admission",
    "tls",
    "runtime",
    "agent::receiver",
    "agent::startup",
    // The request type of kube's client.
    "agent::watch::follow",
];
const HTTP_CRATES: &[&str] = &["axum", "axum_server", "http", "utoipa_axum"];

/// A module and what it may use.
type Arrows = BTreeMap<&'static str, Vec<&'static str>>;

/// What a file uses that it may not, by (file, module or crate), with a line.
type Violations = BTreeMap<(String, String), usize>;

fn arrows(table: &'static str, base: &[&'static str]) -> Arrows {
    let lines = table.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (module, uses) = line.split_once(':').unwrap_or((line, ""));
            let own = uses.split_whitespace();
            (module, own.chain(base.iter().copied()).collect())
        })
        .collect()
}

fn check(package: &str, arrows: &Arrows, found: &mut Violations) {
    for source in sources(&format!("{package}/src")) {
        let Some(own) = source.module.first() else {
            continue;
        };
        let Some(allowed) = arrows.get(own.as_str()) else {
            let what = "a module without a line".to_owned();
            found.insert((source.file.clone(), what), 1);
            continue;
        };
        for named in source.paths() {
            let [root, module, ..] = &named.path[..] else {
                continue;
            };
            let is_other = root == "crate" && arrows.contains_key(module.as_str()) && module != own;
            if is_other && !allowed.contains(&module.as_str()) {
                found.insert((source.file.clone(), module.clone()), named.line);
            }
        }
    }
}

/// Fails with every arrow that is wrong.
fn assert_none(found: &Violations) {
    let lines = found
        .iter()
        .map(|((file, used), line)| format!("{file}:{line} uses {used}"));
    let lines = lines.collect::<Vec<_>>().join("\n");
    assert!(
        lines.is_empty(),
        "docs/architecture.md shows the allowed arrows\n{lines}"
    );
}

#[test]
fn packages_use_only_core() {
    let mut found = Violations::new();
    for (package, forbidden) in [
        ("core", &["kgrca_cli", "kgrca_daemon"][..]),
        ("cli", &["kgrca_daemon"]),
        ("daemon", &["kgrca_cli"]),
    ] {
        for source in sources(&format!("{package}/src")) {
            for named in source.paths() {
                if forbidden.contains(&named.path[0].as_str()) {
                    found.insert((source.file.clone(), named.path[0].clone()), named.line);
                }
            }
        }
    }
    assert_none(&found);
}

#[test]
fn modules_of_core_use_only_what_is_before_them() {
    let mut found = Violations::new();
    check("core", &arrows(CORE, &[]), &mut found);
    assert_none(&found);
}

#[test]
fn modules_of_the_daemon_use_only_what_is_below_them() {
    let mut found = Violations::new();
    check("daemon", &arrows(DAEMON, BASE), &mut found);
    assert_none(&found);
}

#[test]
fn only_http_knows_the_web_framework() {
    let mut found = Violations::new();
    for source in sources("daemon/src") {
        let module = source.module.join("::");
        let below = |m: &&str| module == **m || module.starts_with(&format!("{m}::"));
        let is_root = module.is_empty();
        if is_root || SPEAKS_HTTP.iter().any(below) {
            continue;
        }
        for named in source.paths() {
            if HTTP_CRATES.contains(&named.path[0].as_str()) {
                found.insert((source.file.clone(), named.path[0].clone()), named.line);
            }
        }
    }
    assert_none(&found);
}

#[test]
fn the_tables_have_no_circle() {
    for mut left in [arrows(CORE, &[]), arrows(DAEMON, &[])] {
        while !left.is_empty() {
            let known: Vec<&str> = left.keys().copied().collect();
            let waits = |uses: &[&str]| uses.iter().any(|u| known.contains(u));
            left.retain(|_, uses| waits(uses));
            assert!(left.len() < known.len(), "a circle among {known:?}");
        }
    }
}

#[test]
fn the_agent_alone_needs_nothing_of_the_server() {
    let tree = std::process::Command::new("cargo")
        .args(["tree", "--locked", "--offline", "--package", "kgrca-daemon"])
        .args(["--no-default-features", "--features", "agent"])
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
