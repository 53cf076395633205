//! The manifest of the kubectl plugin has what krew requires, and names the archives of a release.

use kgrca_tests::repository;
use serde_json::Value;

#[test]
fn the_manifest_of_the_plugin_fits_the_archives_of_a_release() {
    let read = |name: &str| std::fs::read_to_string(repository().join(name)).unwrap();
    let manifest: Value = serde_yaml::from_str(&read("deploy/krew/kgrca.yaml")).unwrap();
    let version = "krew.googlecontainertools.github.com/v1alpha2";
    assert_eq!(manifest["apiVersion"], version);
    assert_eq!(manifest["kind"], "Plugin");
    // The plugin is started as kubectl-NAME.
    assert_eq!(manifest["metadata"]["name"], "kgrca");
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], "v@VERSION@");
    for text in ["shortDescription", "description", "homepage"] {
        assert!(
            spec[text].as_str().is_some_and(|t| !t.trim().is_empty()),
            "{text}"
        );
    }
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(short.len() <= 50 && !short.ends_with('.'), "{short}");
    let script = read("deploy/release.sh");
    let platforms = spec["platforms"].as_array().unwrap();
    for (platform, [arch, target]) in platforms.iter().zip([
        ["amd64", "x86_64-unknown-linux-gnu"],
        ["arm64", "aarch64-unknown-linux-gnu"],
    ]) {
        assert_eq!(platform["selector"]["matchLabels"]["os"], "linux");
        assert_eq!(platform["selector"]["matchLabels"]["arch"], arch);
        let name = format!("kgrca-@VERSION@-{target}");
        let uri = platform["uri"].as_str().unwrap();
        assert!(
            uri.starts_with("https://") && uri.ends_with(&format!("/{name}.tar.gz")),
            "{uri}"
        );
        assert_eq!(platform["sha256"], format!("@{target}@"));
        assert_eq!(platform["bin"], "kgrca");
        let files = platform["files"].as_array().unwrap();
        let from: Vec<&str> = files
            .iter()
            .filter_map(|file| file["from"].as_str())
            .collect();
        assert_eq!(from, [format!("{name}/kgrca"), format!("{name}/LICENSE")]);
        assert!(script.contains(target), "{target} is released");
    }
    assert_eq!(platforms.len(), 2);
}
