//! A real control plane, with nodes and kubelets that are played.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::services::{Service, installed};
use crate::{binary, repository};

/// A cluster; it ends when this is dropped.
pub struct Kube {
    service: Service,
}

impl Kube {
    /// Starts a cluster without nodes.
    pub fn start() -> Self {
        Self {
            service: Service::start("kube"),
        }
    }

    /// A control plane whose objects stay as they are put: nothing runs but the API server and its
    /// storage, which holds JSON. Admission that would change or refuse recorded objects is off.
    pub fn frozen() -> Self {
        let off = "ServiceAccount,ResourceQuota,LimitRanger,Priority,RuntimeClass,\
                   DefaultTolerationSeconds,TaintNodesByCondition,DefaultStorageClass,\
                   StorageObjectInUseProtection,DefaultIngressClass";
        let options =
            format!("--storage-media-type application/json --disable-admission-plugins {off}");
        let environment = [("KUBE_APISERVER_OPTIONS", options.as_str())];
        let this = Self {
            service: Service::with("kube", None, &environment),
        };
        for part in ["kwok", "scheduler", "manager"] {
            this.kill(part);
        }
        this
    }

    /// A path of the API as a URL; the administrator's token is `admin-token`.
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.service.port)
    }

    /// The URL of its storage.
    pub fn etcd(&self) -> String {
        format!("http://127.0.0.1:{}", self.service.port + 1)
    }

    /// The certificate, in PEM, of who signs all others.
    pub fn ca(&self) -> Vec<u8> {
        std::fs::read(self.service.data().join("ca.crt")).unwrap()
    }

    /// A certificate and its key, in PEM, that clients in the cluster trust on this machine.
    pub fn certificate(&self) -> [Vec<u8>; 2] {
        let file = |name| std::fs::read(self.service.data().join(name)).unwrap();
        [file("server.crt"), file("server.key")]
    }

    /// The administrator's credentials.
    pub fn kubeconfig(&self) -> PathBuf {
        self.service.data().join("kubeconfig")
    }

    /// Adds nodes whose kubelets are played.
    pub fn nodes(&self, first: usize, count: usize) {
        let script = repository().join("tests/services/kube.sh");
        let (first, count) = (first.to_string(), count.to_string());
        let arguments = [installed("kube"), self.service.data().to_owned()];
        let made = Command::new(script)
            .arg("nodes")
            .args(arguments)
            .args([first, count])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Output {
        use std::io::Write;
        let mut command = Command::new(installed("kube").join("kube"));
        command
            .arg("kubectl")
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(arguments);
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(text) = input {
            child
                .stdin
                .take()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }
        child.wait_with_output().unwrap()
    }

    /// The same, and it must succeed. Returns what it printed.
    pub fn does(&self, arguments: &[&str], input: Option<&str>) -> String {
        let done = self.kubectl(arguments, input);
        assert!(
            done.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// Applies manifests.
    pub fn apply(&self, yaml: &str) {
        self.does(&["apply", "-f", "-"], Some(yaml));
    }

    /// An object, if it is there.
    pub fn get(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.kubectl(&[&["get", "-o", "json"], arguments].concat(), None);
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Kills a part of the control plane, such as `apiserver`.
    pub fn kill(&self, part: &str) {
        let pid = std::fs::read_to_string(self.service.data().join(part).join("pid")).unwrap();
        Command::new("kill")
            .args(["-9", pid.trim()])
            .status()
            .unwrap();
        // Nobody starts what seems to run.
        let is_over = || {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
            state.map(|s| s.starts_with(['Z', 'X'])).unwrap_or(true)
        };
        while !is_over() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts again what was killed.
    pub fn run(&self) {
        self.service.run();
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, seconds: u64, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: not within {seconds} s");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// An agent's process: what the kubelet would start, with the rights of its service account.
pub struct AgentProcess {
    child: Child,
    /// Address of its own door.
    pub url: String,
    /// Where it logs.
    pub log: PathBuf,
}

impl AgentProcess {
    /// Starts an agent with variables of its environment, on a folder for its spool.
    pub fn start(folder: &Path, environment: &[(String, String)]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let (ready, log) = (folder.join("ready"), folder.join("agent.log"));
        let _ = std::fs::remove_file(&ready);
        let out = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = Command::new(binary("kgrcad"))
            .arg("agent")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .envs(environment.iter().map(|(k, v)| (k, v)))
            .env("KGRCA_SPOOL", folder.join("spool"))
            .env("KGRCA_AGENT_LISTEN", "127.0.0.1:0")
            .env("KGRCA_AGENT_READY_FILE", &ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let url = loop {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            if let Some(url) = text
                .lines()
                .find_map(|l| l.strip_prefix("listen="))
                .filter(|_| text.contains("pid="))
            {
                break url.to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, url, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order.
    pub fn terminate(mut self) {
        Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(
            self.child.wait().unwrap().success(),
            "{}",
            std::fs::read_to_string(&self.log).unwrap_or_default()
        );
    }

    /// Its own status report.
    pub async fn status(&self) -> Value {
        reqwest::get(format!("{}/status", self.url))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
