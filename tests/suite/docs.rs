//! Pages name only files that exist, and links lead somewhere.

use std::path::Path;

use kgrca_core::analyze;
use kgrca_core::model::Time;
use kgrca_tests::repository;
use regex::Regex;

/// Pages that name files of this repository.
const PAGES: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/concepts.md",
    "docs/agents.md",
    "docs/attacks.md",
    "docs/encryption.md",
    "docs/engine.md",
    "docs/jobs.md",
    "docs/keys.md",
    "docs/live.md",
];

/// Folders that a page may leave out before a file's name.
const UNDER: &[&str] = &[
    "",
    "core/src",
    "tests/suite",
    "daemon/src",
    "cli/src",
    "tests",
    "core/src/detect",
];

/// Whether a file has a test.
fn has_test(file: &str, test: &str) -> bool {
    let texts = UNDER.iter().filter_map(|folder| {
        let path = repository().join(folder).join(file);
        std::fs::read_to_string(path).ok()
    });
    let function = format!("fn {test}()");
    texts.into_iter().any(|text| text.contains(&function))
}

fn exists(name: &str) -> bool {
    UNDER
        .iter()
        .any(|folder| repository().join(folder).join(name).exists())
}

/// The worked example of `docs/engine.md` is what the program answers.
#[test]
fn the_example_of_the_engine_is_computed() {
    let page = std::fs::read_to_string(repository().join("docs/engine.md")).unwrap();
    let scenario = Regex::new(r"`(tests/scenarios/\S+\.jsonl)`").unwrap();
    let file = &scenario.captures(&page).unwrap()[1];
    let bytes = std::fs::read(repository().join(file)).unwrap();
    let options = analyze::Options {
        now: Time(1_900_000_000_000_000),
        ..analyze::Options::default()
    };
    let analysis = analyze::analyze("example", &bytes, &options);
    let [cause, others @ ..] = analysis.causes.as_slice() else {
        panic!("the example has a cause");
    };
    let mut computed: Vec<String> = cause
        .scores
        .parts
        .iter()
        .map(|(name, points)| format!("| `{name}` | … | {points} |"))
        .collect();
    computed.push(format!("| total | … | {} |", cause.scores.total));
    let row = Regex::new(r"(?m)^\| (`\w+`|total) \|.*\| ([\d.]+) \|$").unwrap();
    let mut written: Vec<String> = row
        .captures_iter(&page)
        .map(|row| format!("| {} | … | {} |", &row[1], &row[2]))
        .collect();
    computed.sort();
    written.sort();
    assert_eq!(written, computed);
    let confidence = format!("= {}\n```", cause.confidence);
    assert!(
        page.contains(&confidence),
        "the page ends with {confidence}"
    );
    let total = format!("have −{} each", others[0].scores.total.abs());
    assert!(
        page.contains(&total),
        "the page says that the callers {total}"
    );
}

#[test]
fn pages_name_files_that_exist() {
    let file =
        Regex::new(r"`([\w./-]+/[\w.-]+\.(?:rs|yaml|sh|toml|md)|[\w-]+/(?:[\w-]+/)*)`").unwrap();
    let test = Regex::new(r"`([\w/]+\.rs)::(\w+)`").unwrap();
    let link = Regex::new(r"\]\(([^)#]+)\)").unwrap();
    let mut missing = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(repository().join(page)).unwrap();
        for name in test.captures_iter(&text) {
            if !has_test(&name[1], &name[2]) {
                missing.push(format!("{page}: {}", &name[0]));
            }
        }
        for name in file.captures_iter(&text) {
            if !exists(&name[1]) {
                missing.push(format!("{page}: {}", &name[1]));
            }
        }
        let folder = Path::new(page).parent().unwrap();
        for target in link.captures_iter(&text) {
            let is_local = !target[1].contains("://");
            if is_local && !repository().join(folder).join(&target[1]).exists() {
                missing.push(format!("{page}: link to {}", &target[1]));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_coverage_page_names_only_faults_of_the_catalogue() {
    let read = |name: &str| std::fs::read_to_string(repository().join(name)).unwrap();
    let catalogue = read("core/src/detect/catalogue.yaml");
    let entry = Regex::new(r#"(?m)^- id: "([a-z]+)\.([a-z_]+)""#).unwrap();
    let entries: Vec<_> = entry.captures_iter(&catalogue).collect();
    let families: Vec<&str> = entries.iter().map(|e| e.get(1).unwrap().as_str()).collect();
    let ids: Vec<String> = entries
        .iter()
        .map(|e| format!("{}.{}", &e[1], &e[2]))
        .collect();
    let page = read("docs/faults-coverage.md");
    let named = Regex::new(r"`([a-z]+)\.([a-z_]+)`").unwrap();
    let unknown: Vec<String> = named
        .captures_iter(&page)
        // A file of a source is not a fault.
        .filter(|name| families.contains(&&name[1]) && &name[2] != "go")
        .map(|name| format!("{}.{}", &name[1], &name[2]))
        .filter(|id| !ids.contains(id))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(
        named.captures_iter(&page).count() > 200,
        "the page has its tables"
    );
}
