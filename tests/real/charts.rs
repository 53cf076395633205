//! Helm charts: equal to what the command applies, and accepted by a real API server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kgrca_tests::kube::{AgentProcess, Kube};
use kgrca_tests::{Server, binary, repository, services};
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
    let mut arguments = vec![
        "template",
        "kgrca",
        chart.to_str().unwrap(),
        "--namespace",
        namespace,
        "--kube-version",
        "1.34.4",
    ];
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
            all.insert(
                format!("{}/{}", object["kind"], object["metadata"]["name"]),
                object,
            );
        }
    }
    all
}

/// What `kgrca agent manifest` prints.
fn manifest(more: &[&str]) -> String {
    let done = Command::new(binary("kgrca"))
        .args([
            "agent",
            "manifest",
            "--cluster",
            "prod",
            "--server",
            "https://kgrca.example.com",
        ])
        .args(more)
        .env_remove("KGRCA_URL")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_digest_pins_every_image_of_a_chart() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let pinned = format!("image.digest={digest}");
    let agent = [
        "cluster=prod",
        "server=https://kgrca.example.com",
        "existingSecret=kgrca-agent",
        "logs.enabled=true",
    ];
    for (name, values) in [
        ("kgrca-agent", &agent[..]),
        ("kgrca-server", &["storesSecret=kgrca-stores"]),
        ("kgrca-single", &[]),
    ] {
        let yaml = rendered(name, "kgrca", &[values, &[&pinned]].concat());
        let images: Vec<&str> = yaml
            .lines()
            .filter_map(|line| line.trim().strip_prefix("image: "))
            .collect();
        assert!(!images.is_empty());
        for image in images {
            assert!(image.ends_with(&format!("@{digest}")), "{name}: {image}");
        }
    }
}

#[test]
fn the_agent_chart_equals_what_the_command_applies() {
    let common = [
        "cluster=prod",
        "server=https://kgrca.example.com",
        "existingSecret=kgrca-agent",
        "namespace.create=true",
    ];
    let folder = tempfile::tempdir().unwrap();
    let kafka = "kafka://client-acme-7f3k2a:password@kafka.example.com:9093?tls=true";
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----").unwrap();
    for (values, flags) in [
        (&[][..], &[][..]),
        (&["logs.enabled=true"][..], &["--logs"][..]),
        (&["secrets=false"][..], &["--no-secrets"][..]),
        (
            &["ca=-----BEGIN CERTIFICATE-----"][..],
            &["--ca-file", ca.to_str().unwrap()][..],
        ),
        (
            &[
                "kafka.enabled=true",
                "kafka.existingSecret=kgrca-agent-kafka",
                "logs.enabled=true",
            ][..],
            &["--logs", "--kafka", kafka],
        ),
    ] {
        let mut of_chart = objects(&rendered(
            "kgrca-agent",
            "observability",
            &[&common[..], values].concat(),
        ));
        assert!(
            of_chart.remove("\"Pod\"/\"kgrca-agent-test\"").is_some(),
            "what `helm test` runs is Helm's alone"
        );
        let of_command = objects(&manifest(flags));
        assert_eq!(
            of_chart.keys().collect::<Vec<_>>(),
            of_command.keys().collect::<Vec<_>>()
        );
        for (name, object) in &of_command {
            assert_eq!(&of_chart[name], object, "{name}");
        }
    }
}

#[test]
fn charts_pass_lint_and_the_api_server_accepts_them() {
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
    let server = [
        "ingress.enabled=true",
        "ingress.tlsSecretName=tls",
        "tls.secretName=tls",
    ];
    let plain = ["tls.enabled=false"];
    // Kinds of others, by their own definitions.
    let crds = services::installed("helm").join("crds");
    kube.does(
        &["apply", "--server-side", "-f", crds.to_str().unwrap()],
        None,
    );
    kube.does(
        &[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ],
        None,
    );
    let scaled = [
        "worker.keda.enabled=true",
        "worker.keda.serverAddress=http://prometheus:9090",
        "serviceMonitor.enabled=true",
    ];
    for (name, values) in [
        ("kgrca-agent", &agent[..]),
        ("kgrca-server", &server),
        ("kgrca-server", &scaled),
        ("kgrca-server", &plain),
        ("kgrca-single", &[]),
        ("kgrca-single", &plain),
    ] {
        let chart = chart(name);
        let mut lint = vec!["lint", "--strict", chart.to_str().unwrap()];
        for value in values {
            lint.extend(["--set", value]);
        }
        helm(&lint);
        let yaml = rendered(name, "observability", values);
        let dry = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-n",
            "observability",
            "-f",
            "-",
        ];
        let taken = kube.does(&dry, Some(&yaml));
        assert_eq!(taken.lines().count(), objects(&yaml).len(), "{taken}");
    }
    let refused = Command::new(services::installed("helm").join("helm"))
        .args([
            "template",
            chart("kgrca-agent").to_str().unwrap(),
            "--kube-version",
            "1.34.4",
        ])
        .args([
            "--set",
            "cluster=prod,existingSecret=s,server=kgrca.example.com",
        ])
        .output()
        .unwrap();
    assert!(
        !refused.status.success(),
        "an address without https:// is no server"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_and_uninstalls_the_agent() {
    let kube = Kube::start();
    let kubeconfig = kube.kubeconfig();
    let own = chart("kgrca-agent");
    let common = [
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--namespace",
        "observability",
    ];
    let values = "cluster=prod,server=https://kgrca.example.com,apiKey=kg_x,alertsToken=t";
    let install = [
        "install",
        "kgrca-agent",
        own.to_str().unwrap(),
        "--create-namespace",
        "--set",
        values,
    ];
    helm(&[&install[..], &common].concat());
    assert!(
        kube.get(&["-n", "observability", "deployment", "kgrca-agent"])
            .is_some()
    );
    // `helm test` fails where no server answers, and passes where the agent sees the cluster and
    // ships.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Charts", "pro").await;
    let environment = [
        ("KGRCA_CLUSTER", "prod"),
        ("KGRCA_URL", &server.url),
        ("KGRCA_API_KEY", &tenant.key),
    ];
    let mut environment: Vec<(String, String)> = environment
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec();
    environment.push(("KUBECONFIG".into(), kubeconfig.to_str().unwrap().into()));
    let agent = AgentProcess::start(&folder.path().join("agent"), &environment);
    for (address, seconds, passes) in [
        ("http://127.0.0.1:1", "1", false),
        (agent.url.as_str(), "30", true),
    ] {
        assert_eq!(
            helm_test(&kube, &common, address, seconds),
            passes,
            "{address}"
        );
    }
    // What Helm manages is left to it.
    let arguments = [
        "agent",
        "uninstall",
        "--cluster",
        "prod",
        "--yes",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    let refused = Command::new(binary("kgrca"))
        .args(arguments)
        .env("KGRCA_URL", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("Helm manages"),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    helm(&[&["uninstall", "kgrca-agent", "--wait"][..], &common].concat());
    assert!(
        kube.get(&["-n", "observability", "deployment", "kgrca-agent"])
            .is_none()
    );
}

/// Runs `helm test`, and plays the kubelet for its pod: what the pod would run is run, against this
/// address of the agent and for as many seconds.
fn helm_test(kube: &Kube, common: &[&str], address: &str, seconds: &str) -> bool {
    let arguments = [&["test", "kgrca-agent", "--timeout", "60s"][..], common].concat();
    let mut testing = Command::new(services::installed("helm").join("helm"))
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pod = ["-n", "observability", "pod", "kgrca-agent-test"];
    let is_new = |pod: &Value| {
        pod["status"]["phase"] == "Pending" && pod["metadata"]["deletionTimestamp"].is_null()
    };
    kube.until("the test's pod", 30, |kube| {
        kube.get(&pod).is_some_and(|pod| is_new(&pod))
    });
    let args = kube.get(&pod).unwrap()["spec"]["containers"][0]["args"].clone();
    let here = |arg: &str| match arg {
        "60" => seconds.to_owned(),
        arg => arg.replace("http://kgrca-agent.observability:7610", address),
    };
    let args = args
        .as_array()
        .unwrap()
        .iter()
        .map(|a| here(a.as_str().unwrap()));
    let done = Command::new(binary("kgrcad")).args(args).output().unwrap();
    let phase = if done.status.success() {
        "Succeeded"
    } else {
        "Failed"
    };
    let patch = format!(r#"{{"status": {{"phase": "{phase}"}}}}"#);
    kube.does(
        &[
            "-n",
            "observability",
            "patch",
            "pod",
            "kgrca-agent-test",
            "--subresource=status",
            "-p",
            &patch,
        ],
        None,
    );
    testing.wait().unwrap().success()
}

/// The same without generated keys and certificates, which differ every time.
fn without_generated(yaml: &str) -> String {
    let generated = [
        "  ca.crt: ",
        "  tls.crt: ",
        "  tls.key: ",
        "  master-key: ",
        "  audit-key: ",
    ];
    let hidden = |line: &str| match generated.iter().find(|name| line.starts_with(**name)) {
        Some(name) => format!("{name}(generated)\n"),
        None => format!("{line}\n"),
    };
    yaml.lines().map(hidden).collect()
}

#[tokio::test]
async fn the_pods_of_a_release_sign_the_audit_log_with_one_key() {
    let rendered = |values: &[&str]| objects(&rendered("kgrca-server", "observability", values));
    let secret = "\"Secret\"/\"kgrca-audit-key\"";
    let made = rendered(&[]);
    let key = made[secret]["data"]["audit-key"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit-key");
    std::fs::write(&file, key).unwrap();
    let pem = Command::new("base64")
        .arg("-d")
        .arg(&file)
        .output()
        .unwrap();
    std::fs::write(&file, pem.stdout).unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let server = Server::start(&data, &["--audit-key", file.to_str().unwrap()]);
    server.tenant("Acme", "pro").await;
    let anchor = server.get("/api/v1/admin/audit/anchor", &server.operator);
    assert_eq!(anchor.await["public_key"].as_str().unwrap().len(), 64);
    let own = rendered(&["auditKeySecret=own"]);
    assert!(!own.contains_key(secret));
    let text = format!("{own:?}");
    assert!(text.contains("/etc/kgrca-audit/audit-key") && text.contains("\"own\""));
}

#[test]
fn charts_create_a_master_key_unless_they_are_given_one() {
    for chart in ["kgrca-single", "kgrca-server"] {
        let rendered = |values: &[&str]| objects(&rendered(chart, "observability", values));
        let secret = "\"Secret\"/\"kgrca-master-key\"";
        let made = rendered(&[]);
        let key = made[secret]["data"]["master-key"].as_str().unwrap();
        assert_ne!(
            made[secret]["data"]["master-key"],
            rendered(&[])[secret]["data"]["master-key"]
        );
        assert_eq!(
            (key.len(), &made[secret]["immutable"]),
            (60, &Value::Bool(true))
        );
        for values in [
            &["encryption.enabled=false"][..],
            &["encryption.existingSecret=own"],
            &["encryption.url=vault://vault:8200/transit/kgrca"],
        ] {
            assert!(!rendered(values).contains_key(secret), "{values:?}");
        }
        let text = |values: &[&str]| format!("{:?}", rendered(values));
        assert!(!text(&["encryption.enabled=false"]).contains("MASTER_KEY"));
        let own = text(&["encryption.existingSecret=own"]);
        assert!(own.contains("\"own\"") && own.contains("file:/etc/kgrca-master/master-key"));
        assert!(text(&["encryption.url=vault://vault:8200/transit/kgrca"]).contains("vault://"));
    }
}

#[test]
fn a_chart_replaces_its_master_key_and_loses_none() {
    const OWN: &str = "file:/etc/kgrca-master/own";
    let kube = Kube::start();
    let kubeconfig = kube.kubeconfig();
    let chart = chart("kgrca-single");
    // Variables of the daemon after an upgrade.
    let upgraded = |values: &str| {
        let arguments = [
            "upgrade",
            "--install",
            "kgrca",
            chart.to_str().unwrap(),
            "--create-namespace",
            "--namespace",
            "kgrca",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--set",
            values,
        ];
        helm(&arguments);
        let set = kube.get(&["-n", "kgrca", "statefulset", "kgrca"]).unwrap();
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        let env = container["env"].as_array().unwrap().clone();
        move |name: &str| {
            let variable = env.iter().find(|variable| variable["name"] == name)?;
            Some(variable["value"].as_str().unwrap().to_owned())
        }
    };
    let url = |env: &dyn Fn(&str) -> Option<String>| env("KGRCA_MASTER_KEY_URL");
    let key = |name: &str| {
        let secret = kube.get(&["-n", "kgrca", "secret", name]);
        Some(secret?["data"]["master-key"].as_str().unwrap().to_owned())
    };
    // Only an installation begins to encrypt.
    let env = upgraded("encryption.enabled=false");
    assert_eq!(url(&env), None);
    assert_eq!(url(&upgraded("encryption.enabled=true")), None);
    helm(&[
        "uninstall",
        "kgrca",
        "--namespace",
        "kgrca",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ]);
    let env = upgraded("encryption.enabled=true");
    assert_eq!(url(&env).unwrap(), format!("{OWN}/master-key"));
    let first = key("kgrca-master-key").unwrap();
    let env = upgraded("encryption.keys={master-key,master-key-2}");
    let both = format!("{OWN}/master-key,{OWN}/master-key-2");
    assert_eq!(url(&env).unwrap(), both);
    let second = key("kgrca-master-key-2").unwrap();
    assert_ne!(first, second);
    let env = upgraded("encryption.keys={master-key-2,master-key}");
    let turned = format!("{OWN}/master-key-2,{OWN}/master-key");
    assert_eq!(url(&env).unwrap(), turned);
    // To Vault, or to a Secret of one's own: what was encrypted needs the keys from before.
    let vault = "vault://vault:8200/transit/kgrca";
    let env = upgraded(&format!(
        "encryption.keys={{master-key-2}},encryption.url={vault}"
    ));
    assert_eq!(url(&env).unwrap(), format!("{vault},{OWN}/master-key-2"));
    let env = upgraded("encryption.keys={master-key-2},encryption.existingSecret=own");
    let given = format!("file:/etc/kgrca-master/master-key,{OWN}/master-key-2");
    assert_eq!(url(&env).unwrap(), given);
    let env = upgraded("encryption.keys={master-key-2},encryption.enabled=false");
    assert_eq!(url(&env).unwrap(), format!("{OWN}/master-key-2"));
    assert_eq!(env("KGRCA_NO_ENCRYPTION").unwrap(), "true");
    assert_eq!(key("kgrca-master-key").unwrap(), first);
    assert_eq!(key("kgrca-master-key-2").unwrap(), second);
}

/// What the server's charts make; whoever changes them sees what changes.
#[test]
fn charts_match_their_snapshots() {
    for (name, file, values) in [
        ("kgrca-server", "server", &[][..]),
        (
            "kgrca-server",
            "server-all",
            &[
                "worker.keda.enabled=true",
                "serviceMonitor.enabled=true",
                "ingress.enabled=true",
                "tls.certManager.enabled=true",
                "tls.certManager.issuerRef.name=ca",
                "trustedProxies={10.0.0.0/8}",
                "metricsTenants=false",
            ][..],
        ),
        ("kgrca-single", "single", &[]),
        (
            "kgrca-agent",
            "agent",
            &[
                "cluster=prod",
                "server=https://kgrca.example.com",
                "existingSecret=s",
                "logs.enabled=true",
            ],
        ),
    ] {
        let made = without_generated(&rendered(name, "observability", values));
        let path = repository().join(format!("tests/suite/snapshots/helm-{file}.yaml"));
        if std::env::var_os("KGRCA_WRITE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            made,
            known,
            "KGRCA_WRITE_SNAPSHOTS=1 writes {}",
            path.display()
        );
    }
}

/// Prometheus' own tool reads the rules, and plays what they are for.
#[test]
fn the_alert_fires_for_a_silent_agent_only() {
    let rules = repository().join("deploy/prometheus/rules.yaml");
    let folder = tempfile::tempdir().unwrap();
    let series = |cluster: &str, values: &str| {
        format!(
            "      - {{series: \
             'kg_agent_silent_seconds{{client_id=\"client-acme-7f3k2a\",cluster=\"{cluster}\"}}', \
             values: '{values}'}}\n"
        )
    };
    let silent = [
        series("lost", "0+15x40"),
        series("fine", "5x40"),
        series("back", "0+15x12 5x28"),
    ]
    .concat();
    let expected = |at: &str, clusters: &[&str]| {
        let one = |c: &&str| {
            let summary = format!("The agent of cluster {c} (client-acme-7f3k2a) has not reported");
            let description =
                format!("Last heartbeat 5m 0s ago. Run: kgrca agent status --cluster {c}");
            format!(
                "          - exp_labels: {{severity: warning, client_id: client-acme-7f3k2a, \
                 cluster: {c}}}\n            exp_annotations: {{summary: '{summary}', description: \
                 '{description}'}}\n"
            )
        };
        let all: String = clusters.iter().map(one).collect();
        let all = if all.is_empty() {
            " []\n".to_owned()
        } else {
            format!("\n{all}")
        };
        format!("      - eval_time: {at}\n        alertname: AgentSilent\n        exp_alerts:{all}")
    };
    let text = format!(
        "rule_files: [{}]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    \
         input_series:\n{silent}    alert_rule_test:\n{}{}",
        rules.display(),
        expected("2m", &[]),
        expected("5m", &["lost"])
    );
    std::fs::write(folder.path().join("test.yaml"), &text).unwrap();
    for (verb, file) in [
        ("check", rules.clone()),
        ("test", folder.path().join("test.yaml")),
    ] {
        let done = Command::new(services::installed("promtool").join("promtool"))
            .args([verb, "rules"])
            .arg(file)
            .output()
            .unwrap();
        let printed = [done.stdout, done.stderr]
            .map(|t| String::from_utf8_lossy(&t).into_owned())
            .concat();
        assert!(done.status.success(), "{printed}\n{text}");
    }
}
