//! Pods and their status.

use std::sync::Arc;

use serde::Deserialize;

use super::Condition;
use super::container::{Container, KeyRef};
use super::placement::{Affinity, SpreadConstraint, Toleration};
use super::selector::Labels;
use super::values::{List, MaybeTime};
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Pod {
    /// Absent when the sender knew only the pod's status.
    pub spec: Option<Arc<PodSpec>>,
    /// The node that it is bound to; kept out of `spec`, which pods of one workload share.
    pub node_name: Option<Str>,
    pub status: PodStatus,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Empty after parsing: see [`Pod::node_name`].
    pub node_name: Option<Str>,
    pub service_account_name: Option<Str>,
    pub scheduler_name: Option<Str>,
    pub priority_class_name: Option<Str>,
    pub runtime_class_name: Option<Str>,
    pub restart_policy: Option<Str>,
    pub host_network: Option<bool>,
    pub dns_policy: Option<Str>,
    pub containers: List<Container>,
    pub init_containers: List<Container>,
    pub volumes: List<PodVolume>,
    pub node_selector: Labels,
    pub affinity: Option<Box<Affinity>>,
    pub tolerations: List<Toleration>,
    pub topology_spread_constraints: List<SpreadConstraint>,
    pub image_pull_secrets: List<NameRef>,
    pub scheduling_gates: List<NameRef>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct NameRef {
    #[serde(default)]
    pub name: Option<Str>,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct PodVolume {
    pub name: Str,
    pub persistent_volume_claim: Option<ClaimRef>,
    pub config_map: Option<KeyRef>,
    pub secret: Option<SecretVolume>,
    pub projected: Option<Projected>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRef {
    pub claim_name: Str,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    #[serde(default)]
    pub secret_name: Option<Str>,
    #[serde(default)]
    pub optional: Option<bool>,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(default)]
pub struct Projected {
    pub sources: List<ProjectedSource>,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectedSource {
    pub secret: Option<KeyRef>,
    pub config_map: Option<KeyRef>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    pub phase: Option<Str>,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<Str>,
    pub start_time: MaybeTime,
    pub conditions: List<Condition>,
    pub container_statuses: List<ContainerStatus>,
    pub init_container_statuses: List<ContainerStatus>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    pub name: Str,
    pub ready: Option<bool>,
    pub restart_count: i64,
    pub image: Option<Str>,
    pub state: ContainerState,
    pub last_state: ContainerState,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    pub waiting: Option<Waiting>,
    pub running: Option<Running>,
    pub terminated: Option<Terminated>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    pub reason: Option<Str>,
    pub message: Option<Str>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    pub started_at: MaybeTime,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    pub reason: Option<Str>,
    pub message: Option<Str>,
    pub exit_code: Option<i64>,
    pub started_at: MaybeTime,
    pub finished_at: MaybeTime,
}

/// Reasons of a waiting container whose image could not be pulled.
const PULL_FAILURES: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
];

/// What stands between the reason for which a container waits and why its pull failed.
const PULL_ERROR: &str = ": ErrImagePull: ";

/// Whether a container waits because its image could not be pulled.
pub fn is_pull_failure(reason: &str) -> bool {
    PULL_FAILURES.contains(&reason)
}

impl PodStatus {
    /// Init containers, then containers.
    pub fn all_containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        let init = self.init_container_statuses.iter();
        init.chain(self.container_statuses.iter())
    }

    /// Takes over why a pull failed from the version before: between two attempts the kubelet only
    /// says that it waits.
    pub fn keep_pull_errors(&mut self, before: &Self) {
        let pairs = [
            (
                &mut self.init_container_statuses,
                &before.init_container_statuses,
            ),
            (&mut self.container_statuses, &before.container_statuses),
        ];
        for (new, old) in pairs {
            for status in &mut new.0 {
                let is_same =
                    |o: &&ContainerStatus| o.name == status.name && o.image == status.image;
                let known = old.iter().find(is_same);
                let known = known.and_then(|o| o.state.waiting.as_ref()?.pull_error());
                if let (Some(error), Some(waiting)) = (known, &mut status.state.waiting) {
                    waiting.keep_pull_error(error);
                }
            }
        }
    }
}

impl Waiting {
    /// Why a pull failed, as the kubelet says it just after.
    fn pull_error(&self) -> Option<&str> {
        let message = self.message.as_deref()?;
        match self.reason.as_deref()? {
            "ErrImagePull" => Some(message),
            "ImagePullBackOff" => message.split_once(PULL_ERROR).map(|(_, error)| error),
            _ => None,
        }
    }

    /// Says why as kubelets from 1.32 on do.
    fn keep_pull_error(&mut self, error: &str) {
        let is_silent = self.pull_error().is_none();
        if is_silent && self.reason.as_deref() == Some("ImagePullBackOff") {
            let message = self.message.as_deref().unwrap_or_default();
            self.message = Some(format!("{message}{PULL_ERROR}{error}").into());
        }
    }
}

impl PodSpec {
    /// Init containers, then containers.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(self.containers.iter())
    }

    /// The sum of the limits of all containers, in thousandths of the unit.
    pub fn limited(&self, resource: &str) -> i128 {
        self.containers
            .iter()
            .filter_map(|c| c.resources.limits.get(resource))
            .map(|q| q.0)
            .sum()
    }

    /// What the scheduler reserves on a node, in thousandths of the unit: the sum over the
    /// containers or the largest init container, whichever is more.
    pub fn requested(&self, resource: &str) -> i128 {
        let of = |c: &Container| {
            let asked = c
                .resources
                .requests
                .get(resource)
                .or_else(|| c.resources.limits.get(resource));
            asked.map(|q| q.0).unwrap_or_default()
        };
        let running: i128 = self.containers.iter().map(of).sum();
        running.max(self.init_containers.iter().map(of).max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(image: &str, reason: &str, message: &str) -> PodStatus {
        let waiting = Waiting {
            reason: Some(reason.into()),
            message: Some(message.into()),
        };
        let container = ContainerStatus {
            image: Some(image.into()),
            state: ContainerState {
                waiting: Some(waiting),
                ..ContainerState::default()
            },
            ..ContainerStatus::default()
        };
        PodStatus {
            container_statuses: [container].into_iter().collect(),
            ..PodStatus::default()
        }
    }

    fn message(status: &PodStatus) -> &str {
        let waiting = status.container_statuses[0].state.waiting.as_ref().unwrap();
        waiting.message.as_deref().unwrap()
    }

    #[test]
    fn a_pull_error_outlasts_the_wait_for_the_next_attempt() {
        let failed = status("web:2", "ErrImagePull", "manifest unknown");
        let mut waits = status(
            "web:2",
            "ImagePullBackOff",
            "Back-off pulling image \"web:2\"",
        );
        waits.keep_pull_errors(&failed);
        let said = "Back-off pulling image \"web:2\": ErrImagePull: manifest unknown";
        assert_eq!(message(&waits), said);
        let mut still = status(
            "web:2",
            "ImagePullBackOff",
            "Back-off pulling image \"web:2\"",
        );
        still.keep_pull_errors(&waits);
        assert_eq!(message(&still), said);
    }

    #[test]
    fn another_image_and_a_start_have_no_pull_error() {
        let failed = status("web:2", "ErrImagePull", "manifest unknown");
        for (image, reason) in [
            ("web:3", "ImagePullBackOff"),
            ("web:2", "ContainerCreating"),
        ] {
            let mut next = status(image, reason, "waiting");
            next.keep_pull_errors(&failed);
            assert_eq!(message(&next), "waiting");
        }
    }
}
