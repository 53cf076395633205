//! Helm's charts: they hold what the command applies, and a real API server takes all of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kgrca_tests::kube::Kube;
use kgrca_tests::{binary, repository, services};
use serde_json::Value;

fn chart(name: &str) -> PathBuf {
    repository().join("deploy/helm").join(name)
}

fn helm(arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let done = Command::new(services::installed("helm").join("helm"))
        .args(arguments)
        .env("HELM_CACHE_HOME", home.path().join("cache"))
        .env("HELM_CONFIG_HOME", home.path().join("config"))
        .env("HELM_DATA_HOME", home.path().join("data"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "helm {arguments:?}: {}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// Objects of a chart with values, as YAML.
fn rendered(name: &str, namespace: &str, values: &[&str]) -> String {
    let chart = chart(name);
    let mut arguments = vec!["template", "kgrca", chart.to_str().unwrap(), "--namespace", namespace, "--kube-version", "1.34.4"];
    for value in values {
        arguments.extend(["--set", value]);
    }
    helm(&arguments)
}

/// Documents by kind and name.
fn objects(yaml: &str) -> BTreeMap<String, Value> {
    use serde::Deserialize;
    let mut all = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let object = Value::deserialize(document).unwrap();
        if !object.is_null() {
            all.insert(format!("{}/{}", object["kind"], object["metadata"]["name"]), object);
        }
    }
    all
}

/// What `kgrca agent manifest` prints.
fn manifest(more: &[&str]) -> String {
    let done = Command::new(binary("kgrca"))
        .args(["agent", "manifest", "--cluster", "prod", "--server", "https://kgrca.example.com"])
        .args(more)
        .env_remove("KGRCA_URL")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_agents_chart_holds_what_the_command_applies() {
    let common = ["cluster=prod", "server=https://kgrca.example.com", "existingSecret=kgrca-agent", "namespace.create=true"];
    let folder = tempfile::tempdir().unwrap();
    let kafka = "kafka://client-acme-7f3k2a:password@kafka.example.com:9093?tls=true";
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----").unwrap();
    for (values, flags) in [
        (&[][..], &[][..]),
        (&["logs.enabled=true"][..], &["--logs"][..]),
        (&["ca=-----BEGIN CERTIFICATE-----"][..], &["--ca-file", ca.to_str().unwrap()][..]),
        (
            &["kafka.enabled=true", "kafka.existingSecret=kgrca-agent-kafka", "logs.enabled=true"][..],
            &["--logs", "--kafka", kafka],
        ),
    ] {
        let of_chart = objects(&rendered("kgrca-agent", "observability", &[&common[..], values].concat()));
        let of_command = objects(&manifest(flags));
        assert_eq!(of_chart.keys().collect::<Vec<_>>(), of_command.keys().collect::<Vec<_>>());
        for (name, object) in &of_command {
            assert_eq!(&of_chart[name], object, "{name}");
        }
    }
}

#[test]
fn charts_are_sound_and_the_api_server_takes_them() {
    let kube = Kube::start();
    kube.does(&["create", "namespace", "observability"], None);
    let kafka = "kafka.url=kafka://client-acme-7f3k2a:p@k.example.com:9093";
    let agent = [
        "cluster=prod",
        "server=https://kgrca.example.com",
        "apiKey=kg_x",
        "alertsToken=t",
        "logs.enabled=true",
        "kafka.enabled=true",
        kafka,
    ];
    let server = ["ingress.enabled=true", "ingress.tlsSecretName=tls", "tls.secretName=tls"];
    for (name, values) in [("kgrca-agent", &agent[..]), ("kgrca-server", &server), ("kgrca-server", &[]), ("kgrca-single", &[])] {
        let chart = chart(name);
        let mut lint = vec!["lint", "--strict", chart.to_str().unwrap()];
        for value in values {
            lint.extend(["--set", value]);
        }
        helm(&lint);
        let yaml = rendered(name, "observability", values);
        let dry = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", "observability", "-f", "-"];
        let taken = kube.does(&dry, Some(&yaml));
        assert_eq!(taken.lines().count(), objects(&yaml).len(), "{taken}");
    }
    let refused = Command::new(services::installed("helm").join("helm"))
        .args(["template", chart("kgrca-agent").to_str().unwrap(), "--kube-version", "1.34.4"])
        .args(["--set", "cluster=prod,existingSecret=s,server=kgrca.example.com"])
        .output()
        .unwrap();
    assert!(!refused.status.success(), "an address without https:// is no server");
}

#[test]
fn helm_installs_the_agent_and_takes_it_away() {
    let kube = Kube::start();
    let kubeconfig = kube.kubeconfig();
    let own = chart("kgrca-agent");
    let common = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--namespace", "observability"];
    let values = "cluster=prod,server=https://kgrca.example.com,apiKey=kg_x,alertsToken=t";
    let install = ["install", "kgrca-agent", own.to_str().unwrap(), "--create-namespace", "--set", values];
    helm(&[&install[..], &common].concat());
    assert!(kube.get(&["-n", "observability", "deployment", "kgrca-agent"]).is_some());
    // What Helm manages is left to it.
    let arguments = ["agent", "uninstall", "--cluster", "prod", "--yes", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let refused = Command::new(binary("kgrca")).args(arguments).env("KGRCA_URL", "http://127.0.0.1:1").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Helm manages"), "{}", String::from_utf8_lossy(&refused.stderr));
    helm(&[&["uninstall", "kgrca-agent", "--wait"][..], &common].concat());
    assert!(kube.get(&["-n", "observability", "deployment", "kgrca-agent"]).is_none());
}

/// What the server's charts make; whoever changes them sees what changes.
#[test]
fn charts_make_what_they_made() {
    for (name, file, values) in [
        ("kgrca-server", "server", &[][..]),
        ("kgrca-server", "server-all", &["worker.keda.enabled=true", "serviceMonitor.enabled=true", "ingress.enabled=true"][..]),
        ("kgrca-single", "single", &[]),
        ("kgrca-agent", "agent", &["cluster=prod", "server=https://kgrca.example.com", "existingSecret=s", "logs.enabled=true"]),
    ] {
        let made = rendered(name, "observability", values);
        let path = repository().join(format!("tests/suite/snapshots/helm-{file}.yaml"));
        if std::env::var_os("KGRCA_WRITE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(made, known, "KGRCA_WRITE_SNAPSHOTS=1 writes {}", path.display());
    }
}
