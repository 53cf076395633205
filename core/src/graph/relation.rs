//! The types of edges, and the direction in which harm travels along them.

use std::fmt;

macro_rules! relations {
    ($($(#[$doc:meta])* $variant:ident $name:literal),* $(,)?) => {
        /// The type of an edge.
        #[derive(
            borsh::BorshSerialize, borsh::BorshDeserialize,
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        pub enum Relation { $($(#[$doc])* $variant,)* }

        impl Relation {
            /// Reads the name used on the wire.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The name used on the wire and in the graph store.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

relations! {
    /// Owner to owned.
    Controls "CONTROLS",
    /// Pod to node.
    RunsOn "RUNS_ON",
    /// Service to pod.
    Selects "SELECTS",
    /// Ingress to Service.
    Routes "ROUTES",
    /// Pod or workload to the claim, `ConfigMap` or Secret that it mounts.
    Mounts "MOUNTS",
    /// Any other reference: to a `ServiceAccount`, the source of a variable, a class.
    Uses "USES",
    /// Claim to volume.
    Bound "BOUND",
    /// Caller to called.
    Calls "CALLS",
    /// Autoscaler to target.
    Scales "SCALES",
    /// Quota or limit range to its namespace.
    Limits "LIMITS",
}

impl Relation {
    /// Whether harm travels from the edge's end to its start (`web CALLS cart`: a broken `cart`
    /// harms `web`); otherwise from start to end (a quota harms what it limits).
    pub fn harms_start(self) -> bool {
        !matches!(self, Self::Controls | Self::Scales | Self::Limits)
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Relation {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Relation {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let word = crate::model::Str::deserialize(d)?;
        Self::parse(&word)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown relation `{word}`")))
    }
}
