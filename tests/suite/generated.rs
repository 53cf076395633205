//! Completions, man pages and the fault documentation are generated: the committed files must match
//! the code. `KGRCA_WRITE_GENERATED=1 cargo test -p kgrca-tests --test suite generated` updates
//! them.

use std::collections::BTreeMap;
use std::path::Path;

use kgrca_core::detect::Catalogue;
use kgrca_tests::repository;

fn compare(files: &BTreeMap<String, Vec<u8>>) {
    let writes = std::env::var_os("KGRCA_WRITE_GENERATED").is_some();
    for (name, content) in files {
        let path = repository().join(name);
        if writes {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(
            committed == *content,
            "{name} is outdated: run the command at the top of this file"
        );
    }
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join(folder)).map(|d| {
        d.map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    });
    entries.unwrap_or_default()
}

#[test]
fn completions() {
    let mut files = BTreeMap::new();
    for (shell, name) in [
        ("bash", "kgrca.bash"),
        ("zsh", "_kgrca"),
        ("fish", "kgrca.fish"),
    ] {
        files.insert(
            format!("completions/{name}"),
            kgrca_cli::completion_script(shell).unwrap(),
        );
    }
    compare(&files);
}

#[test]
fn man_pages() {
    let folder = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(kgrca_cli::command(), folder.path()).unwrap();
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        files.insert(
            format!("man/{}", Path::new(path.file_name().unwrap()).display()),
            std::fs::read(&path).unwrap(),
        );
    }
    compare(&files);
    for name in names("man") {
        assert!(
            files.contains_key(&format!("man/{name}")),
            "man/{name} belongs to a command that no longer exists: delete it"
        );
    }
}

#[test]
fn fault_documentation() {
    let mut text =
        "# Faults\n\nThe faults that kgrca can report, as printed by `kgrca fault list` \
                    and `kgrca fault show`. An entry marked *planned* is not reported yet.\n"
            .to_owned();
    let mut family = "";
    for fault in Catalogue::shipped().faults() {
        if fault.id.family() != family {
            family = fault.id.family();
            text += &format!("\n## {family}\n");
        }
        let planned = fault.planned.as_ref();
        let planned = planned.map(|p| format!("\n*planned*: {p}\n"));
        text += &format!(
            "\n### {}\n\n{}\n\nComponent at fault: {}.\n\nIndicators: {}\n\n\
             Not this fault when: {}\n\nFix: `{}`\n{}",
            fault.id,
            fault.title,
            fault.blames,
            fault.reveals,
            fault.rules_out,
            fault.fix,
            planned.unwrap_or_default()
        );
    }
    compare(&BTreeMap::from([(
        "docs/faults.md".to_owned(),
        text.into_bytes(),
    )]));
}

/// The ids are an enum of the code, in the order of the catalogue.
#[test]
fn fault_ids() {
    let yaml =
        std::fs::read_to_string(repository().join("core/src/detect/catalogue.yaml")).unwrap();
    let ids = yaml
        .lines()
        .filter_map(|line| line.strip_prefix("- id: "))
        .map(|id| id.trim_matches('"'));
    let mut text = "//! Generated from `catalogue.yaml`; `tests/suite/generated.rs` compares and \
                    rewrites it.\n\nsuper::fault_id::fault_ids! {\n"
        .to_owned();
    for id in ids {
        text += &format!("    {} = \"{id}\",\n", variant(id));
    }
    text += "}\n";
    compare(&BTreeMap::from([(
        "core/src/detect/fault_ids.rs".to_owned(),
        text.into_bytes(),
    )]));
}

/// `config.key_missing` is `ConfigKeyMissing`.
fn variant(id: &str) -> String {
    let capitalized = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    id.split(['.', '_']).map(capitalized).collect()
}
