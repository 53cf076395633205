//! The names that Kubernetes' controllers derive from those of their workloads.

/// Whether a text can be a random suffix of the API server or a controller.
fn is_random(text: &str, len: std::ops::RangeInclusive<usize>) -> bool {
    // The alphabet of k8s.io/apimachinery rand.String: no vowels and no 0, 1, 3.
    len.contains(&text.len())
        && text
            .bytes()
            .all(|c| b"bcdfghjklmnpqrstvwxz2456789".contains(&c))
}

/// Whether two parts of a name look like a template hash and a random suffix, although not in the
/// alphabet of today's controllers: early ones used numbers, and people who publish recordings
/// replace them.
fn looks_generated(hash: &str, last: &str) -> bool {
    let is_plain = |text: &str| {
        text.bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    (8..=10).contains(&hash.len())
        && last.len() == 5
        && is_plain(hash)
        && is_plain(last)
        && digits(hash) >= 2
        && (digits(last) > 0 || is_random(last, 5..=5))
}

/// The node in the name of a static pod of the control plane, `<process>-<node>`.
pub(super) fn static_pod_host<'a>(namespace: &str, pod: &'a str) -> Option<&'a str> {
    const PROCESSES: [&str; 4] = [
        "kube-apiserver-",
        "kube-controller-manager-",
        "kube-scheduler-",
        "etcd-",
    ];
    let host = PROCESSES
        .iter()
        .find_map(|p| pod.strip_prefix(p))
        .filter(|_| namespace == "kube-system")?;
    (!host.is_empty()).then_some(host)
}

/// `<deployment>` of `<deployment>-<pod-template-hash>`.
pub(super) fn deployment_of(replica_set: &str) -> &str {
    match replica_set.rsplit_once('-') {
        Some((name, hash)) if is_random(hash, 6..=10) => name,
        _ => replica_set,
    }
}

/// `<cronjob>` of `<cronjob>-<minutes>`.
pub(super) fn cron_job_of(job: &str) -> &str {
    match job.rsplit_once('-') {
        Some((name, time)) if time.len() >= 8 && time.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => job,
    }
}

/// The workload of a claim made by a `StatefulSet` template, `<template>-<statefulset>-<n>`; else
/// the claim's name.
pub(super) fn claim_workload(claim: &str) -> &str {
    match claim.rsplit_once('-') {
        Some((rest, n)) if !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()) => {
            rest.split_once('-').map(|(_, set)| set).unwrap_or(rest)
        }
        _ => claim,
    }
}

/// The workload of a pod whose owner is unknown, by the pod's name.
pub(super) fn pod_workload<'a>(pod: &'a str, template_hash: Option<&str>) -> &'a str {
    if let Some(at) = template_hash.and_then(|hash| pod.find(&format!("-{hash}-"))) {
        return &pod[..at];
    }
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if let Some((name, hash)) = rest.rsplit_once('-')
        && looks_generated(hash, last)
    {
        return name;
    }
    if is_random(last, 5..=5) {
        let set = deployment_of(rest);
        return if set.len() < rest.len() {
            set
        } else {
            cron_job_of(rest)
        };
    }
    if !last.is_empty() && last.len() <= 3 && last.bytes().all(|c| c.is_ascii_digit()) {
        return rest;
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_found_by_the_names_of_their_pods() {
        for (pod, workload) in [
            ("cart-7c5f46fc47-x2v9q", "cart"),
            ("db-0", "db"),
            ("report-28391040-k8d9z", "report"),
            ("agent-x2v9q", "agent"),
            ("debug", "debug"),
            ("my-app-v2", "my-app-v2"),
            ("web-2475889547-x0k7q", "web"),
            ("web-a1b2c3d4e5-1a2b3", "web"),
            ("shop-frontend-tests", "shop-frontend-tests"),
            ("shop-backend1-test1", "shop-backend1-test1"),
        ] {
            assert_eq!(pod_workload(pod, None), workload, "{pod}");
        }
        assert_eq!(claim_workload("data-kafka-2"), "kafka");
        assert_eq!(
            static_pod_host("kube-system", "kube-scheduler-cp-1"),
            Some("cp-1")
        );
        assert_eq!(static_pod_host("shop", "etcd-0"), None);
    }
}
