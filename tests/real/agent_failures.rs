//! The agent while everything around it fails: the server ends up with the state of the cluster,
//! and the counters add up.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_tests::kube::{AgentProcess, Kube};
use kgrca_tests::proxy::{Mode, Proxy};
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, binary, preloaded, soak};
use serde_json::{Value, json};

use crate::agent::{environment, kgrca, printed};
use crate::logs::balanced;

/// A cluster, a server, and what ties them together.
pub(crate) struct Around {
    pub kube: Kube,
    pub folder: tempfile::TempDir,
    proxy: Proxy,
    pub tenant: Tenant,
}

impl Around {
    async fn start() -> (Self, Server) {
        Self::with(&[], |_| Vec::new()).await
    }

    /// The same on other stores, with more arguments of `agent install`.
    pub async fn with(
        stores: &[&str],
        install: impl FnOnce(&Tenant) -> Vec<String>,
    ) -> (Self, Server) {
        let kube = Kube::start();
        kube.nodes(0, 3);
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), stores);
        let tenant = server.tenant("Trouble", "enterprise").await;
        let proxy = Proxy::start(server.url.rsplit(':').next().unwrap().parse().unwrap()).await;
        let kubeconfig = kube.kubeconfig();
        let more = install(&tenant);
        let mut arguments = vec![
            "agent",
            "install",
            "--cluster",
            "prod",
            "--wait=false",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
        ];
        arguments.extend(more.iter().map(String::as_str));
        let done = kgrca(&server, &tenant, &arguments);
        assert_eq!(done.status.code(), Some(0), "{}", printed(&done));
        (
            Self {
                kube,
                folder,
                proxy,
                tenant,
            },
            server,
        )
    }

    fn server(&self) -> Server {
        let server = Server::start(self.folder.path(), &[]);
        self.proxy
            .before(server.url.rsplit(':').next().unwrap().parse().unwrap());
        server
    }

    pub fn environment(&self, server: &Server) -> Vec<(String, String)> {
        let mut all = environment(&self.kube, self.folder.path(), server);
        all.push((
            "KGRCA_URL".into(),
            format!("http://127.0.0.1:{}", self.proxy.port),
        ));
        all
    }

    pub fn agent(&self, environment: &[(String, String)]) -> AgentProcess {
        AgentProcess::start(&self.folder.path().join("agent"), environment)
    }

    /// Objects of a kind as the cluster has them, by uid.
    fn truth(&self, kind: &str) -> BTreeSet<String> {
        let all = self.kube.get(&[kind, "-A"]).unwrap();
        all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["metadata"]["uid"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until the server knows what there is, and nothing else.
    pub async fn agrees(&self, server: &Server, seconds: u64) {
        for kind in ["Pod", "ConfigMap", "Deployment", "ReplicaSet"] {
            let deadline = Instant::now() + Duration::from_secs(seconds);
            loop {
                let (known, truth) = (known(server, &self.tenant, kind).await, self.truth(kind));
                if known == truth {
                    break;
                }
                let (missing, stale) = (
                    truth.difference(&known).count(),
                    known.difference(&truth).count(),
                );
                assert!(
                    Instant::now() < deadline,
                    "{kind}: {missing} of {} missing, {stale} stale",
                    truth.len()
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Living resources of a kind that the server knows, by uid.
async fn known(server: &Server, tenant: &Tenant, kind: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .get(
                &format!("/api/v1/resources?kind={kind}&limit=1000{cursor}"),
                &tenant.key,
            )
            .await;
        let items = page["items"].as_array().unwrap();
        all.extend(
            items
                .iter()
                .filter(|r| r["deleted"].is_null())
                .filter_map(|r| r["uid"].as_str().map(str::to_owned)),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// A deployment, so many times.
pub(crate) fn deployment(name: &str, replicas: usize) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [{"name": "app", "image": "registry.example/app:1"}],
                    "terminationGracePeriodSeconds": 0,
                },
            },
        },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_catches_up_whatever_dies() {
    let (rounds, cut) = if soak() {
        (20, Duration::from_mins(10))
    } else {
        (4, Duration::from_secs(10))
    };
    let (around, mut server) = Around::start().await;
    let environment = around.environment(&server);
    let mut agent = around.agent(&environment);
    for round in 0..rounds {
        let name = format!("web-{}", round % 3);
        around.kube.apply(&deployment(&name, 3 + round * 5 % 7));
        around.kube.does(
            &[
                "create",
                "configmap",
                &format!("made-{round}"),
                "--from-literal=a=b",
            ],
            None,
        );
        match round % 4 {
            0 => {
                agent.kill();
                around
                    .kube
                    .does(&["delete", "pods", "--all", "--wait=false"], None);
                agent = around.agent(&environment);
            }
            1 => {
                server.kill();
                around.kube.does(
                    &["delete", "configmap", &format!("made-{}", round - 1)],
                    None,
                );
                server = around.server();
            }
            2 => {
                around.kube.kill("apiserver");
                around.kube.run();
            }
            _ => {
                around.proxy.set(Mode::Cut);
                around.kube.does(&["delete", "deployment", &name], None);
                // How long the cut lasts is what is tried.
                tokio::time::sleep(if round < 4 {
                    cut
                } else {
                    Duration::from_secs(5)
                })
                .await;
                around.proxy.set(Mode::Pass);
            }
        }
        around.agrees(&server, 90).await;
    }
    balanced(&agent.status().await);
    let records = server.get("/api/v1/stats", &around.tenant.key).await["records"].clone();
    assert_eq!(records["rejected"], 0, "{records}");
    agent.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_watch_lists_again_and_closes_what_vanished() {
    let (around, server) = Around::start().await;
    let environment = around.environment(&server);
    around.kube.apply(&deployment("web", 5));
    let agent = around.agent(&environment);
    around.agrees(&server, 60).await;
    // While nobody looks, things go; then the server forgets that they went: one that has just
    // started knows no history.
    agent.terminate();
    around.kube.apply(&deployment("web", 2));
    around.kube.until("three pods are gone", 30, |kube| {
        kube.get(&["pods"]).unwrap()["items"]
            .as_array()
            .unwrap()
            .len()
            == 2
    });
    around.kube.kill("apiserver");
    around.kube.run();
    let agent = around.agent(&environment);
    around.agrees(&server, 60).await;
    balanced(&agent.status().await);
    let log = std::fs::read_to_string(&agent.log).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    agent.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_permission_is_reported_and_other_kinds_continue() {
    let (around, server) = Around::start().await;
    let environment = around.environment(&server);
    let account = "--as=system:serviceaccount:observability:kgrca-agent";
    for act in [
        &["create", "configmap", "theft"][..],
        &["delete", "namespace", "default"],
        &[
            "get",
            "secret",
            "kgrca-agent",
            "-n",
            "observability",
            "-o",
            "name",
        ],
        &["create", "token", "default"],
    ] {
        let tried = around.kube.kubectl(&[act, &[account]].concat(), None);
        assert!(!tried.status.success(), "{act:?} is allowed");
        assert!(
            String::from_utf8_lossy(&tried.stderr).contains("orbidden"),
            "{}",
            String::from_utf8_lossy(&tried.stderr)
        );
    }
    let role = around.kube.get(&["clusterrole", "kgrca-agent"]).unwrap();
    let mut rules = role["rules"].clone();
    for rule in rules.as_array_mut().unwrap() {
        rule["resources"]
            .as_array_mut()
            .unwrap()
            .retain(|r| r != "configmaps");
    }
    let patch = json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
    around.kube.does(
        &[
            "patch",
            "clusterrole",
            "kgrca-agent",
            "--type=json",
            "-p",
            &patch,
        ],
        None,
    );
    let agent = around.agent(&environment);
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        let status = agent.status().await;
        let kinds = status["kinds"].as_array().unwrap();
        let pods = kinds
            .iter()
            .any(|k| k["kind"] == "Pod" && k["trouble"].is_null());
        if pods
            && kinds
                .iter()
                .any(|k| k["kind"] == "ConfigMap" && !k["trouble"].is_null())
        {
            break status;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let troubled: Vec<&Value> = status["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|k| !k["trouble"].is_null())
        .collect();
    assert_eq!(troubled.len(), 1, "{troubled:?}");
    assert!(
        troubled[0]["trouble"]
            .as_str()
            .unwrap()
            .contains("configmaps is forbidden"),
        "{troubled:?}"
    );
    // The heartbeat reports it, and so does the command.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = kgrca(&server, &around.tenant, &["agent", "status"]);
        if status.status.code() == Some(10) && printed(&status).contains("configmaps is forbidden")
        {
            break;
        }
        assert!(Instant::now() < deadline, "{}", printed(&status));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    agent.terminate();
}

/// Whether all is well with an agent, as `helm test` asks.
fn is_well(agent: &AgentProcess, seconds: &str) -> std::process::Output {
    let url = format!("{}/healthz", agent.url);
    std::process::Command::new(binary("kgrcad"))
        .args(["probe", "--timeout", seconds, &url])
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_key_is_read_again() {
    let (around, server) = Around::start().await;
    let environment = around.environment(&server);
    let file = around.folder.path().join("api-key");
    let key = std::fs::read(&file).unwrap();
    std::fs::write(&file, "kg_another").unwrap();
    let agent = around.agent(&environment);
    let refused = is_well(&agent, "5");
    assert!(
        !refused.status.success() && printed(&refused).contains("the API key is unknown"),
        "{}",
        printed(&refused)
    );
    std::fs::write(&file, key).unwrap();
    around.agrees(&server, 60).await;
    let well = is_well(&agent, "30");
    assert!(well.status.success(), "{}", printed(&well));
    agent.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_five_minutes_off_shifts_no_times() {
    for ahead in ["300", "-300"] {
        let (around, server) = Around::start().await;
        let mut environment = around.environment(&server);
        environment.push((
            "LD_PRELOAD".into(),
            preloaded(around.folder.path(), "clock")
                .to_str()
                .unwrap()
                .into(),
        ));
        environment.push(("CLOCK_AHEAD".into(), ahead.into()));
        let agent = around.agent(&environment);
        around.kube.apply(&deployment("web", 3));
        around.agrees(&server, 60).await;
        let records = server.get("/api/v1/stats", &around.tenant.key).await["records"].clone();
        assert_eq!(records["rejected"], 0, "{records}");
        let reported = agent.status().await["clock_ahead_seconds"]
            .as_i64()
            .unwrap();
        assert!(
            (reported + ahead.parse::<i64>().unwrap()).abs() <= 2,
            "{reported}"
        );
        agent.terminate();
    }
}

/// What the spool cannot hold is counted, and state that went is listed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_drops_the_oldest_and_reports_it() {
    let (around, server) = Around::start().await;
    let mut environment = around.environment(&server);
    environment.push(("KGRCA_SPOOL_MIB".into(), "1".into()));
    let agent = around.agent(&environment);
    around.agrees(&server, 60).await;
    around.proxy.set(Mode::Cut);
    // Texts that do not compress.
    let mut seed = 88_172_645_463_325_252_u64;
    let mut noise = || {
        let mut text = String::new();
        while text.len() < 200_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text += &format!("{seed:x}");
        }
        text
    };
    for i in 0..20 {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("large-{i}"), "namespace": "default"},
            "data": {"noise": noise()},
        });
        around
            .kube
            .does(&["create", "-f", "-"], Some(&map.to_string()));
    }
    around.kube.apply(&deployment("web", 4));
    let deadline = Instant::now() + Duration::from_mins(1);
    while agent.status().await["dropped"]["state.k8s.resource"]["spool_full"]
        .as_u64()
        .unwrap_or(0)
        == 0
    {
        assert!(Instant::now() < deadline, "{:#}", agent.status().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let spool = size(&around.folder.path().join("agent/spool"));
    assert!(spool < 2 << 20, "{spool} bytes");
    around.proxy.set(Mode::Pass);
    around.agrees(&server, 120).await;
    balanced(&agent.status().await);
    agent.terminate();
}

fn size(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().metadata().map(|m| m.len()).unwrap_or(0))
        .sum()
}
