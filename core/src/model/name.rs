//! Names of Kubernetes things.

use std::fmt;

use super::Str;

macro_rules! kinds {
    ($($variant:ident $name:literal $cluster_scoped:literal),* $(,)?) => {
        /// The kind of a Kubernetes object; what the engine has no rules for is `Other`.
        #[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the variants are the API's own kinds")]
        pub enum Kind { $($variant,)* Other(Str) }

        impl Kind {
            /// All kinds that the engine has rules for.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Reads a kind in any letter case, singular.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($name => return Self::$variant,)*
                    _ => {}
                }
                $(if text.eq_ignore_ascii_case($name) { return Self::$variant; })*
                Self::Other(text.into())
            }

            /// The API's name of the kind.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $name,)* Self::Other(name) => name }
            }

            /// Whether objects of this kind live outside namespaces.
            pub fn is_cluster_scoped(&self) -> bool {
                match self { $(Self::$variant => $cluster_scoped,)* Self::Other(_) => false }
            }
        }
    };
}

kinds! {
    Pod "Pod" false, Node "Node" true, Deployment "Deployment" false, ReplicaSet "ReplicaSet" false,
    StatefulSet "StatefulSet" false, DaemonSet "DaemonSet" false, Job "Job" false, CronJob "CronJob" false,
    Service "Service" false, Endpoints "Endpoints" false, EndpointSlice "EndpointSlice" false, Ingress "Ingress" false,
    NetworkPolicy "NetworkPolicy" false, ConfigMap "ConfigMap" false, Secret "Secret" false,
    ServiceAccount "ServiceAccount" false, PersistentVolumeClaim "PersistentVolumeClaim" false,
    PersistentVolume "PersistentVolume" true, StorageClass "StorageClass" true, ResourceQuota "ResourceQuota" false,
    LimitRange "LimitRange" false, HorizontalPodAutoscaler "HorizontalPodAutoscaler" false,
    PodDisruptionBudget "PodDisruptionBudget" false, Namespace "Namespace" true, Lease "Lease" false,
    ReplicationController "ReplicationController" false, IngressClass "IngressClass" true,
    PriorityClass "PriorityClass" true, RuntimeClass "RuntimeClass" true, External "External" true,
}

impl Kind {
    /// Whether this kind creates pods, directly or through another.
    pub fn is_workload(&self) -> bool {
        matches!(
            self,
            Self::Deployment
                | Self::ReplicaSet
                | Self::StatefulSet
                | Self::DaemonSet
                | Self::Job
                | Self::CronJob
                | Self::ReplicationController
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name by which people and records refer to an object; objects re-created under it are
/// different resources.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub struct Alias {
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: Str,
    /// Name within kind and namespace.
    pub name: Str,
}

impl Alias {
    /// Builds an alias; the namespace of a cluster-scoped kind is dropped.
    pub fn new(kind: Kind, namespace: impl Into<Str>, name: impl Into<Str>) -> Self {
        let namespace = if kind.is_cluster_scoped() {
            "".into()
        } else {
            namespace.into()
        };
        Self {
            kind,
            namespace,
            name: name.into(),
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}
