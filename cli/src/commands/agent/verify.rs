//! Waits until a newly installed agent sends data.

use std::time::{Duration, Instant};

use kgrca_core::api::{Agent, AgentMode, Stats};
use kgrca_core::model::{Time, Topic};

use super::{Env, manifest, status};
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};

/// How often progress is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A wait for data from a cluster.
pub struct Verification<'a> {
    /// Prints progress.
    pub env: &'a Env<'a>,
    /// The server that the data is sent to.
    pub client: &'a Client,
    /// The cluster's name.
    pub cluster: &'a str,
    /// When the server last heard from an agent of the cluster before.
    pub last_seen: Option<Time>,
    /// When the installation started.
    pub started: Instant,
    /// How long to wait from then on.
    pub timeout: Duration,
}

impl Verification<'_> {
    /// Waits until the new agent has connected and state of the cluster was received.
    pub fn run(&self) -> Result {
        let deadline = self.started + self.timeout;
        let mut reported = "";
        loop {
            let agents = status::agents(self.client, Some(self.cluster))?;
            let Some(pending) = self.pending(&agents)? else {
                let seconds = self.started.elapsed().as_secs_f64();
                self.env.out.message(&format!(
                    "receiving data from `{}` {seconds:.0} s after installation",
                    self.cluster
                ));
                return status::show(self.env, &agents);
            };
            if pending != reported {
                self.env.out.message(pending);
                reported = pending;
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out(pending));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn pending(&self, agents: &[Agent]) -> Result<Option<&'static str>> {
        let stats: Stats = self.client.get(As::Tenant, "/api/v1/stats", &[])?;
        let is_registered = stats.clusters.iter().any(|c| c.cluster == self.cluster);
        Ok(pending(agents, self.last_seen, is_registered))
    }

    fn timed_out(&self, pending: &str) -> CliError {
        let (namespace, name) = (manifest::NAMESPACE, manifest::NAME);
        let message = format!(
            "no data received from `{}` within {} s: {pending}",
            self.cluster,
            self.timeout.as_secs()
        );
        CliError::new(Kind::Unreachable, message).hint(format!(
            "kubectl -n {namespace} get pods,events; \
             kubectl -n {namespace} logs deployment/{name}"
        ))
    }
}

/// The agent that watches the API server.
pub fn watching(agents: &[Agent]) -> Option<&Agent> {
    agents.iter().find(|a| a.status.mode == AgentMode::Watch)
}

/// What is still missing, if anything. Compares times of the server's clock only.
fn pending(agents: &[Agent], last_seen: Option<Time>, is_registered: bool) -> Option<&'static str> {
    let is_new = |a: &&Agent| Some(a.seen_at) > last_seen;
    let Some(agent) = watching(agents).filter(is_new) else {
        return Some("no agent has connected yet");
    };
    let topic = Topic::Resource.as_str();
    let sent = agent.status.shipped.get(topic).copied().unwrap_or(0);
    if agent.status.kinds.is_empty() || sent == 0 {
        return Some("agent is connected; no cluster state received yet");
    }
    (!is_registered).then_some("agent is sending; cluster not registered yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(seen_at: i64, sent: u64) -> Agent {
        let status = serde_json::json!({
            "cluster": "prod", "agent": "a", "mode": "watch", "version": "0.1.0",
            "started_at": "2026-01-01T00:00:00Z", "lag_seconds": 0, "spooled_bytes": 0,
            "shipped": {"state.k8s.resource": sent}, "kinds": [{"kind": "Pod", "objects": 3}],
        });
        Agent {
            status: serde_json::from_value(status).unwrap(),
            seen_at: Time(seen_at),
            silent_seconds: 0,
        }
    }

    #[test]
    fn progress_goes_from_connected_to_registered() {
        let waiting =
            |agents: &[Agent], is_registered| pending(agents, Some(Time(5)), is_registered);
        assert_eq!(waiting(&[], false), Some("no agent has connected yet"));
        let before = [agent(5, 9)];
        assert_eq!(
            waiting(&before, true),
            Some("no agent has connected yet"),
            "the agent of an earlier installation does not count"
        );
        let silent = [agent(6, 0)];
        assert_eq!(
            waiting(&silent, false),
            Some("agent is connected; no cluster state received yet")
        );
        let sending = [agent(6, 9)];
        assert_eq!(
            waiting(&sending, false),
            Some("agent is sending; cluster not registered yet")
        );
        assert_eq!(waiting(&sending, true), None);
        assert_eq!(pending(&sending, None, true), None);
    }
}
