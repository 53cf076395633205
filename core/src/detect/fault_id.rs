//! Identifiers of fault types: one variant per entry of the catalogue.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use super::fault_ids::FaultId;

/// Declares [`FaultId`] from pairs of a variant and its id.
macro_rules! fault_ids {
    ($($variant:ident = $id:literal,)*) => {
        /// A fault type of the catalogue, `family.name` in text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultId {
            $(#[doc = concat!("`", $id, "`")] $variant,)*
        }

        impl FaultId {
            /// Every fault type in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The id as text, such as `config.secret_missing`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }
        }
    };
}
pub(super) use fault_ids;

impl FaultId {
    /// The part of the id before the dot.
    pub fn family(self) -> &'static str {
        self.as_str()
            .split_once('.')
            .map(|(family, _)| family)
            .unwrap_or_default()
    }

    /// Whether a `ResourceQuota` refuses the object.
    pub fn is_quota(self) -> bool {
        self.as_str().starts_with("admission.quota_")
    }

    /// Whether a controller or the kubelet reports it about the object itself, or its own numbers
    /// show it, so that it is a symptom even if something else explains it.
    pub fn is_reported(self) -> bool {
        matches!(
            self,
            Self::OperatorConditionFailed
                | Self::OperatorSecretStoreInvalid
                | Self::ControlplaneAggregatedApiUnavailable
                | Self::AutoscalingTriggerFailing
                | Self::RuntimeJobFailed
                | Self::RuntimeRolloutStuck
                | Self::RuntimeTerminationStuck
                | Self::SchedulingPodSlotsExhausted
                | Self::StorageAttachFailed
                | Self::PerformanceAutoscalerNoMetrics
                | Self::PerformanceAutoscalerAtLimit
        )
    }

    /// Whether selectors, affinity, cordons or taints keep a pod off the nodes.
    pub fn is_placement(self) -> bool {
        matches!(
            self,
            Self::SchedulingNodeSelectorMismatch
                | Self::SchedulingNodeAffinityMismatch
                | Self::SchedulingNodeCordoned
                | Self::SchedulingTaintNotTolerated
        )
    }

    /// Whether the nodes lack room: CPU, memory or an extended resource.
    pub fn is_resource_shortage(self) -> bool {
        matches!(
            self,
            Self::SchedulingCpuInsufficient
                | Self::SchedulingMemoryInsufficient
                | Self::SchedulingExtendedResourceInsufficient
        )
    }

    /// Whether it says more of a component than that it is not ready.
    pub fn says_more(self) -> bool {
        !matches!(
            self,
            Self::Unknown
                | Self::RuntimeReadinessFailing
                | Self::RuntimeRolloutStuck
                | Self::AdmissionWebhookUnavailable
                | Self::ControlplaneAggregatedApiUnavailable
        )
    }

    /// Whether it names how something fails, not why: any other finding of the same component
    /// explains it.
    pub fn is_failure_mode(self) -> bool {
        matches!(
            self,
            Self::AdmissionWebhookUnavailable
                | Self::RuntimeRolloutStuck
                | Self::ServiceNameUnresolved
                | Self::RuntimeCrashOnStart
                | Self::RuntimeCrashLater
                | Self::RuntimeLivenessTooStrict
                | Self::RuntimeReadinessTooStrict
                | Self::RuntimeReadinessFailing
                | Self::RuntimeTerminationStuck
                | Self::OperatorConditionFailed
                | Self::ControlplaneAggregatedApiUnavailable
                | Self::RuntimeEvicted
                | Self::RuntimeJobFailed
                | Self::DependencyDown
                | Self::DependencySlow
                | Self::DependencyReadOnly
                | Self::PerformanceNetworkDelay
                | Self::PerformanceNetworkLoss
                | Self::ImageReferenceWrong
                | Self::StorageClaimMissing
        )
    }
}

/// By id, so that lists are alphabetical however the catalogue is arranged.
impl Ord for FaultId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for FaultId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no fault type of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(pub String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown fault type `{}`", self.0)
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for FaultId {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL
            .iter()
            .copied()
            .find(|id| id.as_str() == text)
            .ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl Serialize for FaultId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FaultId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_a_round_trip_through_text() {
        for id in FaultId::ALL {
            assert_eq!(id.as_str().parse(), Ok(*id));
            let json = serde_json::to_string(id).unwrap();
            assert_eq!(json, format!("\"{id}\""));
            assert_eq!(serde_json::from_str::<FaultId>(&json).unwrap(), *id);
        }
    }

    #[test]
    fn an_unknown_id_is_an_error_that_names_it() {
        let error = "config.no_such_fault".parse::<FaultId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown fault type `config.no_such_fault`"
        );
        assert!(serde_json::from_str::<FaultId>("\"\"").is_err());
    }
}
