//! The agent against a real API server, from `agent install` to `agent uninstall`.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use kgrca_tests::kube::{AgentProcess, Kube};
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, binary};
use serde_json::{Value, json};

fn command(server: &Server, tenant: &Tenant, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("kgrca"));
    command
        .args(arguments)
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_API_KEY", &tenant.key)
        .stdin(Stdio::null());
    command
}

pub(crate) fn kgrca(server: &Server, tenant: &Tenant, arguments: &[&str]) -> Output {
    command(server, tenant, arguments).output().unwrap()
}

pub(crate) fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{:?}\n{}\n{}",
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// The environment of the agent's container, as the kubelet would make it: keys are files, the
/// account's token is in a kubeconfig.
pub(crate) fn environment(kube: &Kube, folder: &Path, server: &Server) -> Vec<(String, String)> {
    let deployment = kube
        .get(&["-n", "observability", "deployment", "kgrca-agent"])
        .unwrap();
    let secret = kube
        .get(&["-n", "observability", "secret", "kgrca-agent"])
        .unwrap();
    for key in ["api-key", "alerts-token"] {
        std::fs::write(folder.join(key), plain(&secret["data"][key])).unwrap();
    }
    if let Some(kafka) = kube.get(&["-n", "observability", "secret", "kgrca-agent-kafka"]) {
        std::fs::create_dir_all(folder.join("kafka")).unwrap();
        std::fs::write(folder.join("kafka/url"), plain(&kafka["data"]["url"])).unwrap();
    }
    if let Some(ca) = kube.get(&["-n", "observability", "configmap", "kgrca-agent"]) {
        std::fs::create_dir_all(folder.join("ca")).unwrap();
        std::fs::write(
            folder.join("ca/ca.crt"),
            ca["data"]["ca.crt"].as_str().unwrap(),
        )
        .unwrap();
    }
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let keys = folder.to_str().unwrap();
    let of_pod = container["env"].as_array().unwrap().iter().filter_map(|v| {
        let value = v["value"]
            .as_str()?
            .replace("/etc/kgrca-", &format!("{keys}/"))
            .replace("/etc/kgrca", keys);
        Some((v["name"].as_str()?.to_owned(), value))
    });
    let token = kube.does(
        &[
            "-n",
            "observability",
            "create",
            "token",
            "kgrca-agent",
            "--duration",
            "1h",
        ],
        None,
    );
    let admin = std::fs::read_to_string(kube.kubeconfig()).unwrap();
    let users = admin.rfind("users:").unwrap();
    let own = format!(
        "{}users: [{{name: admin, user: {{token: {}}}}}]\n",
        &admin[..users],
        token.trim()
    );
    std::fs::write(folder.join("kubeconfig"), own).unwrap();
    let mut all: Vec<(String, String)> = of_pod.collect();
    all.push((
        "KUBECONFIG".into(),
        folder.join("kubeconfig").to_str().unwrap().into(),
    ));
    all.push(("KGRCA_URL".into(), server.url.clone()));
    all
}

/// A value of a Secret.
fn plain(value: &Value) -> String {
    let decoding = Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    feed(decoding, value.as_str().unwrap())
}

fn feed(mut child: Child, text: &str) -> String {
    use std::io::Write;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Everything of ours that the cluster has.
fn ours(kube: &Kube) -> String {
    let kinds = "clusterroles,clusterrolebindings,namespaces";
    let cluster = kube.does(
        &[
            "get",
            kinds,
            "-l",
            "app.kubernetes.io/part-of=kgrca",
            "-o",
            "name",
        ],
        None,
    );
    let all =
        "deployments,daemonsets,pods,services,secrets,configmaps,serviceaccounts,networkpolicies";
    let inside = kube.does(&["-n", "observability", "get", all, "-o", "name"], None);
    cluster + &inside
}

/// Installs the agent, and plays its kubelet once its objects are there.
fn installed(
    kube: &Kube,
    server: &Server,
    tenant: &Tenant,
    folder: &Path,
) -> (AgentProcess, Output) {
    let kubeconfig = kube.kubeconfig();
    let arguments = [
        "agent",
        "install",
        "--cluster",
        "prod",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--timeout",
        "60",
    ];
    let installing = command(server, tenant, &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kube.until("the agent's deployment", 30, |kube| {
        kube.get(&["-n", "observability", "deployment", "kgrca-agent"])
            .is_some()
    });
    let agent = AgentProcess::start(&folder.join("agent"), &environment(kube, folder, server));
    (agent, installing.wait_with_output().unwrap())
}

/// Waits for an incident whose first cause is of this component and fault, at most ten seconds.
async fn cause(server: &Server, tenant: &Tenant, component: &str, fault: &str) {
    let began = Instant::now();
    loop {
        let all = server.get("/api/v1/incidents", &tenant.key).await;
        let is_it = |i: &&Value| i["component"] == component && i["fault_type"] == fault;
        if let Some(incident) = all["items"].as_array().unwrap().iter().find(is_it) {
            let id = incident["incident_id"].as_str().unwrap();
            let answer = kgrca(server, tenant, &["rca", id, "-o", "json"]);
            let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
            assert_eq!(
                (
                    &answer["causes"][0]["component"],
                    &answer["causes"][0]["fault_type"]
                ),
                (&component.into(), &fault.into())
            );
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{component} {fault} is not found: {all}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Posts a notification as Alertmanager does, and waits until the server knows it.
pub(crate) async fn alerted(agent: &AgentProcess, folder: &Path, server: &Server, tenant: &Tenant) {
    let now = jiff::Timestamp::now();
    let labels = json!({
        "alertname": "HighLatency", "namespace": "shop", "deployment": "web",
        "severity": "critical",
    });
    let alert = json!({
        "status": "firing", "labels": labels, "annotations": {"summary": "slow"},
        "startsAt": now.to_string(), "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090", "fingerprint": "c0ffee",
    });
    let webhook = json!({
        "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "kgrca",
        "alerts": [alert],
    });
    let post = async |token: &str, body: &Value| {
        let request = server
            .http
            .post(format!("{}/alerts", agent.url))
            .bearer_auth(token)
            .json(body);
        request.send().await.unwrap().status().as_u16()
    };
    let token = std::fs::read_to_string(folder.join("alerts-token")).unwrap();
    assert_eq!(post("another", &webhook).await, 401);
    assert_eq!(post(&token, &json!({"alerts": "none"})).await, 400);
    assert_eq!(post(&token, &webhook).await, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let alerts = server
            .get("/api/v1/graph/timeline?limit=1000", &tenant.key)
            .await
            .to_string();
        if alerts.contains("HighLatency") {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the alert is not there: {alerts}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) const WEB: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: shop}
spec: {hard: {pods: "2"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1"}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: train, namespace: lab}
spec:
  replicas: 1
  selector: {matchLabels: {app: train}}
  template:
    metadata: {labels: {app: train}}
    spec:
      nodeSelector: {accelerator: none-has-it}
      containers: [{name: train, image: "registry.example/train:1"}]
"#;

/// A Service whose selector is wrong, and who calls it.
pub(crate) const CALLED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: lab}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: "registry.example/cart:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: lab}
spec:
  replicas: 1
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      containers:
      - name: front
        image: registry.example/front:7
        env: [{name: CART_ADDR, value: "cart:80"}]
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: lab}
spec: {selector: {app: cart-v2}, ports: [{port: 80, targetPort: 8080}]}
"#;

const SECRETIVE: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: pay}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay, namespace: pay}
spec:
  replicas: 1
  selector: {matchLabels: {app: pay}}
  template:
    metadata: {labels: {app: pay}}
    spec:
      containers:
        - name: pay
          image: registry.example/pay:3
          env: [{name: PAY_TOKEN, valueFrom: {secretKeyRef: {name: pay-keys, key: token}}}]
";

/// Plays the kubelet, which alone would find that the Secret is missing.
fn waits_for_its_secret(kube: &Kube) {
    let pods = |kube: &Kube| kube.does(&["-n", "pay", "get", "pods", "-o", "name"], None);
    let runs = |kube: &Kube| {
        kube.does(&["-n", "pay", "get", "pods", "--no-headers"], None)
            .contains("Running")
    };
    kube.until("the pod runs", 30, runs);
    let waiting =
        json!({"reason": "CreateContainerConfigError", "message": "secret \"pay-keys\" not found"});
    let container = json!({
        "name": "pay", "ready": false, "started": false, "restartCount": 0,
        "image": "registry.example/pay:3", "imageID": "", "state": {"waiting": waiting},
    });
    let conditions = json!([
        {"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"},
    ]);
    let status = json!({
        "status": {"phase": "Pending", "conditions": conditions, "containerStatuses": [container]},
    })
    .to_string();
    kube.does(
        &[
            "-n",
            "pay",
            "patch",
            pods(kube).trim(),
            "--subresource=status",
            "-p",
            &status,
        ],
        None,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_explained_from_install_to_uninstall() {
    let kube = Kube::start();
    kube.nodes(0, 3);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let (agent, done) = installed(&kube, &server, &tenant, folder.path());
    assert_eq!(done.status.code(), Some(0), "{}", printed(&done));
    let status = kgrca(
        &server,
        &tenant,
        &["agent", "status", "--cluster", "prod", "-o", "json"],
    );
    assert_eq!(status.status.code(), Some(0), "{}", printed(&status));
    kube.apply(WEB);
    cause(&server, &tenant, "namespace/shop", "admission.quota_pods").await;
    cause(
        &server,
        &tenant,
        "app/train",
        "scheduling.node_selector_mismatch",
    )
    .await;
    kube.apply(CALLED);
    cause(&server, &tenant, "app/cart", "service.selector_mismatch").await;
    kube.apply(SECRETIVE);
    waits_for_its_secret(&kube);
    cause(&server, &tenant, "app/pay", "config.secret_missing").await;
    alerted(&agent, folder.path(), &server, &tenant).await;
    agent.terminate();
    let kubeconfig = kube.kubeconfig();
    let other = [
        "agent",
        "uninstall",
        "--cluster",
        "stage",
        "--yes",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    let refused = kgrca(&server, &tenant, &other);
    assert_eq!(refused.status.code(), Some(2), "{}", printed(&refused));
    assert!(
        printed(&refused).contains("this cluster is registered as `prod`"),
        "{}",
        printed(&refused)
    );
    // Somebody else moved in.
    kube.does(
        &["-n", "observability", "create", "configmap", "grafana"],
        None,
    );
    let gone = [
        "agent",
        "uninstall",
        "--cluster",
        "prod",
        "--yes",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    let gone = kgrca(&server, &tenant, &gone);
    assert_eq!(gone.status.code(), Some(0), "{}", printed(&gone));
    assert!(
        printed(&gone).contains("configmap/grafana"),
        "{}",
        printed(&gone)
    );
    kube.until("the agent's pods are gone", 60, |kube| {
        ours(kube)
            == "namespace/observability\nconfigmap/grafana\nconfigmap/kube-root-ca.crt\n\
                serviceaccount/default\n"
    });
    kube.does(
        &["-n", "observability", "delete", "configmap", "grafana"],
        None,
    );
    let again = [
        "agent",
        "uninstall",
        "--cluster",
        "prod",
        "--yes",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    assert_eq!(kgrca(&server, &tenant, &again).status.code(), Some(0));
    kube.until("the namespace is gone", 60, |kube| {
        kube.get(&["namespace", "observability"]).is_none()
    });
    assert_eq!(ours(&kube), "", "nothing is left");
    let keys = server.get("/api/v1/keys", &tenant.key).await;
    let of_agent = |k: &&Value| k["name"] == "agent of prod" && k["revoked_at"].is_null();
    assert_eq!(
        keys["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(of_agent)
            .count(),
        0
    );
}
