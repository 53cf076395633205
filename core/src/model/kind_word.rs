//! Kinds as people type them for kubectl: in lower case, in the plural, or by a short name.

use super::Kind;

/// The short names that kubectl knows.
const SHORT: [(&str, Kind); 23] = [
    ("po", Kind::Pod),
    ("no", Kind::Node),
    ("deploy", Kind::Deployment),
    ("rs", Kind::ReplicaSet),
    ("sts", Kind::StatefulSet),
    ("ds", Kind::DaemonSet),
    ("cj", Kind::CronJob),
    ("svc", Kind::Service),
    ("ep", Kind::Endpoints),
    ("ing", Kind::Ingress),
    ("netpol", Kind::NetworkPolicy),
    ("cm", Kind::ConfigMap),
    ("sa", Kind::ServiceAccount),
    ("pvc", Kind::PersistentVolumeClaim),
    ("pv", Kind::PersistentVolume),
    ("sc", Kind::StorageClass),
    ("quota", Kind::ResourceQuota),
    ("limits", Kind::LimitRange),
    ("hpa", Kind::HorizontalPodAutoscaler),
    ("pdb", Kind::PodDisruptionBudget),
    ("ns", Kind::Namespace),
    ("rc", Kind::ReplicationController),
    ("pc", Kind::PriorityClass),
];

impl Kind {
    /// Reads a kind as kubectl does: `deploy`, `deployments`, `Deployment`, also with its group, as
    /// in `deployments.apps`. A kind that is not known stays as it is.
    pub fn of_word(word: &str) -> Self {
        let lower = word.to_ascii_lowercase();
        let name = lower.split('.').next().unwrap_or_default();
        if let Some((_, kind)) = SHORT.iter().find(|(short, _)| *short == name) {
            return kind.clone();
        }
        let singular = [
            name.strip_suffix("ies").map(|stem| format!("{stem}y")),
            name.strip_suffix("es").map(str::to_owned),
            name.strip_suffix('s').map(str::to_owned),
        ];
        let forms = std::iter::once(name.to_owned()).chain(singular.into_iter().flatten());
        let known = forms.map(|form| Self::parse(&form));
        let mut known = known.filter(|kind| !matches!(kind, Self::Other(_)));
        known.next().unwrap_or_else(|| Self::parse(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_kubectl_reads_them() {
        for (word, kind) in [
            ("deploy", Kind::Deployment),
            ("deployments", Kind::Deployment),
            ("deployments.apps", Kind::Deployment),
            ("Deployment", Kind::Deployment),
            ("svc", Kind::Service),
            ("networkpolicies", Kind::NetworkPolicy),
            ("ingresses", Kind::Ingress),
            ("endpoints", Kind::Endpoints),
            ("storageclasses", Kind::StorageClass),
            ("Rollout", Kind::Other("Rollout".into())),
        ] {
            assert_eq!(Kind::of_word(word), kind, "{word}");
        }
    }
}
