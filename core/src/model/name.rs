//! Kinds and names of Kubernetes objects.

use std::fmt;

use super::Str;

macro_rules! kinds {
    ($($variant:ident $cluster_scoped:literal),* $(,)?) => {
        /// The kind of a Kubernetes object; `Other` if the engine has no rules for it.
        #[derive(
            borsh::BorshSerialize, borsh::BorshDeserialize,
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        #[expect(missing_docs, reason = "the variants are the kinds of the Kubernetes API")]
        pub enum Kind { $($variant,)* Other(Str) }

        impl Kind {
            /// All kinds that the engine has rules for.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Reads a kind in the singular, in any letter case.
            pub fn parse(text: &str) -> Self {
                match text {
                    $(stringify!($variant) => return Self::$variant,)*
                    _ => {}
                }
                $(if text.eq_ignore_ascii_case(stringify!($variant)) { return Self::$variant; })*
                Self::Other(text.into())
            }

            /// The name in the Kubernetes API.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => stringify!($variant),)* Self::Other(name) => name }
            }

            /// Whether objects of this kind have no namespace.
            pub fn is_cluster_scoped(&self) -> bool {
                match self { $(Self::$variant => $cluster_scoped,)* Self::Other(_) => false }
            }
        }
    };
}

// Each kind with whether it is cluster-scoped.
kinds! {
    Pod false, Node true, Deployment false, ReplicaSet false, StatefulSet false, DaemonSet false,
    Job false, CronJob false, Service false, Endpoints false, EndpointSlice false, Ingress false,
    NetworkPolicy false, ConfigMap false, Secret false, ServiceAccount false,
    PersistentVolumeClaim false, PersistentVolume true, StorageClass true, ResourceQuota false,
    LimitRange false, HorizontalPodAutoscaler false, PodDisruptionBudget false, Namespace true,
    Lease false, ReplicationController false, IngressClass true, PriorityClass true,
    RuntimeClass true, External true,
}

impl Kind {
    /// Reads a kind of an API version. Other products have kinds of the same names as Kubernetes:
    /// Knative has a Service, Longhorn a Node.
    pub fn of_group(text: &str, api_version: Option<&str>) -> Self {
        let kind = Self::parse(text);
        let group = api_version.and_then(|v| v.split_once('/')).map(|(g, _)| g);
        match group {
            Some(group)
                if group.contains('.')
                    && !group.ends_with(".k8s.io")
                    && !matches!(kind, Self::Other(_)) =>
            {
                Self::Other(format!("{kind}.{group}").into())
            }
            _ => kind,
        }
    }

    /// Whether this kind creates pods, directly or through another kind.
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

    /// Whether people create workloads of this kind: an owner above one is an operator's object.
    pub fn is_top_workload(&self) -> bool {
        matches!(
            self,
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::CronJob
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name by which people and records refer to an object. Objects that are re-created with the
/// same name are different resources.
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
