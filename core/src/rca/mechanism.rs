//! Which fields a fault reads: only a change of one of them explains it.

use crate::change::{FieldChange, ObjectChange, Verb};
use crate::model::Kind;
use crate::model::object::Quantity;

/// Kinds, and the parts of paths that matter on them; those that come first explain more directly.
type Reads = (&'static str, &'static str);

/// Everything in a pod template that a program starts with.
const PROGRAM: Reads = (
    WORKLOAD,
    ".env .args .command .image volumeMounts volumes .lifecycle securityContext workingDir \
     serviceAccountName initContainers",
);
const SETTINGS: Reads = (CONFIG, "data +data -");
const LIMITS: Reads = ("LimitRange", "limits +");
const QUOTA: Reads = ("ResourceQuota", "hard +");
const SCALER: Reads = (
    "HorizontalPodAutoscaler ScaledObject",
    "minReplicas maxReplicas minReplicaCount maxReplicaCount metrics scaleTargetRef triggers",
);
const PROBES: Reads = (WORKLOAD, "Probe");
/// All that create pods.
const WORKLOAD: &str = "Deployment StatefulSet DaemonSet ReplicaSet ReplicationController Job \
                        CronJob Pod Rollout";
const CONFIG: &str = "ConfigMap Secret ExternalSecret SealedSecret SecretProviderClass";
const NETWORK: &str = "NetworkPolicy CiliumNetworkPolicy CiliumClusterwideNetworkPolicy \
                       GlobalNetworkPolicy AdminNetworkPolicy AuthorizationPolicy";
const WEBHOOKS: &str = "ValidatingWebhookConfiguration MutatingWebhookConfiguration \
                        ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ClusterPolicy \
                        Policy";
const ROUTES: &str = "Ingress HTTPRoute GRPCRoute TCPRoute Gateway VirtualService DestinationRule \
                      IngressRoute IngressClass GatewayClass Route Middleware";
const RIGHTS: &str = "Role ClusterRole RoleBinding ClusterRoleBinding";
/// Custom resources.
const CUSTOM: &str = "*";
/// Any field.
const ANY: &str = "= + -";

/// By the start of the fault's ID; the longest start that fits counts.
const MECHANISMS: &[(&str, &[Reads])] = &[
    (
        "image.pull_unauthorized",
        &[
            (WORKLOAD, "imagePullSecrets .image serviceAccountName"),
            ("ServiceAccount", "imagePullSecrets"),
            ("Secret", "data -"),
        ],
    ),
    (
        "image.architecture_mismatch",
        &[(WORKLOAD, ".image nodeSelector affinity")],
    ),
    (
        "image.",
        &[
            (WORKLOAD, ".image imagePullPolicy"),
            (WORKLOAD, "imagePullSecrets"),
        ],
    ),
    (
        "config.secret_missing",
        &[
            ("Secret", "-"),
            (WORKLOAD, "secret Secret env imagePullSecrets volumes"),
            ("ExternalSecret SealedSecret SecretProviderClass", ANY),
        ],
    ),
    (
        "config.configmap_missing",
        &[("ConfigMap", "-"), (WORKLOAD, "configMap env volumes")],
    ),
    (
        "config.key_missing",
        &[(CONFIG, "data -"), (WORKLOAD, "KeyRef .items env volumes")],
    ),
    (
        "config.command_not_found",
        &[(WORKLOAD, ".command .args .image volumeMounts lifecycle")],
    ),
    (
        "config.arguments_invalid",
        &[
            (WORKLOAD, ".args .command"),
            SETTINGS,
            PROGRAM,
            (CUSTOM, "="),
        ],
    ),
    (
        "config.env_invalid",
        &[(WORKLOAD, ".env"), SETTINGS, PROGRAM, (CUSTOM, "=")],
    ),
    (
        "config.security_context_denied",
        &[(WORKLOAD, "securityContext hostNetwork"), PROGRAM],
    ),
    ("config.", &[PROGRAM, SETTINGS, (CUSTOM, "=")]),
    (
        "runtime.oom_killed",
        &[
            (WORKLOAD, "resources.limits.memory"),
            LIMITS,
            (WORKLOAD, ".resources .env .args .command .image"),
            SETTINGS,
        ],
    ),
    (
        "runtime.memory_limit_refused",
        &[(WORKLOAD, "resources.limits.memory"), LIMITS],
    ),
    (
        "runtime.crash",
        &[PROGRAM, SETTINGS, (WORKLOAD, "Probe .ports resources")],
    ),
    (
        "runtime.init_container_failed",
        &[(WORKLOAD, "initContainers"), SETTINGS, PROGRAM],
    ),
    (
        "runtime.hook_failed",
        &[(WORKLOAD, "lifecycle"), PROGRAM, SETTINGS],
    ),
    (
        "runtime.job_failed",
        &[
            PROGRAM,
            SETTINGS,
            (WORKLOAD, "activeDeadlineSeconds backoffLimit resources"),
        ],
    ),
    (
        "runtime.cronjob_missed",
        &[(
            "CronJob",
            "schedule suspend startingDeadlineSeconds concurrencyPolicy timeZone",
        )],
    ),
    (
        "runtime.liveness",
        &[
            (WORKLOAD, "livenessProbe"),
            (
                WORKLOAD,
                ".ports .env .args .command resources.limits.cpu .image",
            ),
            SETTINGS,
        ],
    ),
    (
        "runtime.readiness",
        &[
            (WORKLOAD, "readinessProbe"),
            (
                WORKLOAD,
                ".ports .env .args .command resources.limits.cpu .image",
            ),
            SETTINGS,
        ],
    ),
    (
        "runtime.startup_probe_wrong",
        &[
            (WORKLOAD, "startupProbe"),
            (
                WORKLOAD,
                ".ports .env .args .command resources.limits.cpu .image",
            ),
            SETTINGS,
        ],
    ),
    ("runtime.probe_command_fails", &[PROBES, PROGRAM, SETTINGS]),
    (
        "runtime.port_conflict",
        &[
            (WORKLOAD, ".ports .env .args .command hostNetwork"),
            SETTINGS,
        ],
    ),
    (
        "runtime.scaled_to_zero",
        &[(WORKLOAD, "spec.replicas suspend"), SCALER],
    ),
    (
        "runtime.rollout_stuck",
        &[
            (
                WORKLOAD,
                "paused strategy minReadySeconds progressDeadlineSeconds",
            ),
            PROGRAM,
            PROBES,
        ],
    ),
    (
        "runtime.evicted",
        &[
            (
                WORKLOAD,
                "ephemeral-storage sizeLimit resources priorityClassName",
            ),
            ("PriorityClass", "value"),
        ],
    ),
    (
        "runtime.termination_stuck",
        &[(
            WORKLOAD,
            "finalizers terminationGracePeriodSeconds lifecycle",
        )],
    ),
    (
        "service.selector_mismatch",
        &[
            ("Service", "selector"),
            (WORKLOAD, "template.metadata.labels"),
            ("Pod", "metadata.labels"),
        ],
    ),
    (
        "service.port_mismatch",
        &[
            ("Service", "ports"),
            (WORKLOAD, ".ports .env .args .command .image"),
            SETTINGS,
        ],
    ),
    (
        "service.named_port_missing",
        &[("Service", "ports"), (WORKLOAD, ".ports")],
    ),
    (
        "service.protocol_mismatch",
        &[
            ("Service", "ports annotations"),
            ("DestinationRule VirtualService PeerAuthentication", ANY),
            (WORKLOAD, ".env .args .command .image Probe"),
            SETTINGS,
        ],
    ),
    (
        "service.address_wrong",
        &[
            (WORKLOAD, ".env .args .command"),
            SETTINGS,
            ("Service", "- ports externalName"),
        ],
    ),
    (
        "service.name_unresolved",
        &[
            (
                WORKLOAD,
                ".env .args .command dnsPolicy dnsConfig hostAliases",
            ),
            SETTINGS,
            ("Service", "- externalName"),
        ],
    ),
    (
        "service.route_wrong",
        &[(ROUTES, ANY), ("Service", "- ports selector")],
    ),
    ("service.ingress_class_missing", &[(ROUTES, ANY)]),
    (
        "service.network_policy_blocks",
        &[
            (NETWORK, ANY),
            ("Namespace", "labels"),
            (WORKLOAD, "template.metadata.labels"),
        ],
    ),
    (
        "service.certificate_invalid",
        &[
            ("Secret", "data"),
            ("Certificate Issuer ClusterIssuer", ANY),
            ("Ingress Gateway", "tls listeners"),
            (WEBHOOKS, "caBundle"),
            (WORKLOAD, "volumes .env .args"),
        ],
    ),
    (
        "dependency.credentials_rejected",
        &[
            ("Secret ExternalSecret SealedSecret", "data = -"),
            (WORKLOAD, ".env envFrom serviceAccountName .args"),
            ("ConfigMap", "data"),
        ],
    ),
    (
        "dependency.version_mismatch",
        &[(WORKLOAD, ".image"), PROGRAM, SETTINGS],
    ),
    (
        "dependency.port_wrong",
        &[
            (WORKLOAD, ".env .args .command"),
            SETTINGS,
            ("Service", "ports"),
        ],
    ),
    (
        "dependency.",
        &[
            PROGRAM,
            SETTINGS,
            ("Service", "- ports selector externalName"),
            (NETWORK, ANY),
            (WORKLOAD, "spec.replicas resources"),
        ],
    ),
    (
        "performance.cpu",
        &[
            (WORKLOAD, "resources.limits.cpu resources.requests.cpu"),
            LIMITS,
            SCALER,
            (WORKLOAD, "spec.replicas .image .env .args"),
        ],
    ),
    (
        "performance.memory_pressure",
        &[
            (
                WORKLOAD,
                "resources.limits.memory resources.requests.memory",
            ),
            (WORKLOAD, ".image .env .args"),
        ],
    ),
    (
        "performance.autoscaler",
        &[
            SCALER,
            (WORKLOAD, "resources.requests"),
            ("APIService", ANY),
        ],
    ),
    (
        "performance.pool_exhausted",
        &[(WORKLOAD, ".env .args spec.replicas"), SETTINGS],
    ),
    (
        "performance.network",
        &[
            ("VirtualService DestinationRule", ANY),
            (NETWORK, ANY),
            (WORKLOAD, ".image annotations"),
        ],
    ),
    (
        "admission.quota",
        &[QUOTA, (WORKLOAD, "resources spec.replicas"), SCALER, LIMITS],
    ),
    ("admission.limit_range", &[LIMITS, (WORKLOAD, "resources")]),
    (
        "admission.service_account_missing",
        &[("ServiceAccount", "-"), (WORKLOAD, "serviceAccount")],
    ),
    (
        "admission.pod_security",
        &[
            ("Namespace", "pod-security"),
            (
                WORKLOAD,
                "securityContext hostNetwork hostPID hostIPC hostPath hostPort capabilities",
            ),
        ],
    ),
    (
        "admission.webhook_denied",
        &[
            (WEBHOOKS, ANY),
            (CUSTOM, "="),
            (
                WORKLOAD,
                "labels annotations .image resources securityContext",
            ),
        ],
    ),
    (
        "admission.webhook_unavailable",
        &[
            (WEBHOOKS, ANY),
            ("Service", "- selector ports"),
            (NETWORK, ANY),
            (WORKLOAD, "spec.replicas"),
            PROGRAM,
        ],
    ),
    (
        "admission.rbac_forbidden",
        &[
            (RIGHTS, ANY),
            (WORKLOAD, "serviceAccountName"),
            ("ServiceAccount", "-"),
        ],
    ),
    (
        "admission.priority_class_missing",
        &[("PriorityClass", "-"), (WORKLOAD, "priorityClassName")],
    ),
    (
        "admission.runtime_class_missing",
        &[
            ("RuntimeClass", "- handler"),
            (WORKLOAD, "runtimeClassName"),
        ],
    ),
    (
        "scheduling.node_selector_mismatch",
        &[(WORKLOAD, "nodeSelector"), ("Node", "labels")],
    ),
    (
        "scheduling.node_affinity_mismatch",
        &[(WORKLOAD, "nodeAffinity affinity"), ("Node", "labels")],
    ),
    (
        "scheduling.taint_not_tolerated",
        &[("Node", "taints"), (WORKLOAD, "tolerations")],
    ),
    (
        "scheduling.node_cordoned",
        &[
            ("Node", "unschedulable"),
            (WORKLOAD, "nodeSelector affinity"),
        ],
    ),
    (
        "scheduling.no_node_available",
        &[("Node", "unschedulable taints")],
    ),
    (
        "scheduling.topology_spread",
        &[
            (WORKLOAD, "topologySpreadConstraints"),
            ("Node", "labels"),
            (WORKLOAD, "spec.replicas"),
        ],
    ),
    (
        "scheduling.pod_a",
        &[
            (WORKLOAD, "ffinity"),
            ("Node", "labels"),
            (WORKLOAD, "spec.replicas"),
        ],
    ),
    (
        "scheduling.host_port_conflict",
        &[(WORKLOAD, "hostPort ports hostNetwork spec.replicas")],
    ),
    (
        "scheduling.scheduling_gated",
        &[(WORKLOAD, "schedulingGates")],
    ),
    (
        "scheduling.preempted",
        &[("PriorityClass", "value"), (WORKLOAD, "priorityClassName")],
    ),
    (
        "scheduling.",
        &[
            (WORKLOAD, "resources"),
            LIMITS,
            (WORKLOAD, "spec.replicas"),
            SCALER,
        ],
    ),
    (
        "storage.claim_missing",
        &[
            ("PersistentVolumeClaim", "-"),
            (WORKLOAD, "claimName volumes volumeClaimTemplates"),
        ],
    ),
    (
        "storage.class",
        &[
            ("PersistentVolumeClaim", "storageClassName"),
            ("StorageClass", ANY),
            (WORKLOAD, "volumeClaimTemplates"),
            ("PersistentVolume", "storageClassName"),
        ],
    ),
    (
        "storage.",
        &[
            (
                "PersistentVolumeClaim PersistentVolume StorageClass CSIDriver",
                ANY,
            ),
            (WORKLOAD, "volume securityContext nodeSelector affinity"),
            (CONFIG, "data -"),
        ],
    ),
    (
        "controlplane.dns_down",
        &[("ConfigMap", "data"), PROGRAM, (WORKLOAD, "spec.replicas")],
    ),
    (
        "controlplane.aggregated_api_unavailable",
        &[
            ("APIService", ANY),
            ("Service", "selector ports -"),
            (WORKLOAD, "spec.replicas"),
        ],
    ),
    (
        "autoscaling.",
        &[SCALER, (CUSTOM, "="), ("Secret", "data -")],
    ),
    (
        "rollout.disruption_budget",
        &[("PodDisruptionBudget", ANY), (WORKLOAD, "spec.replicas")],
    ),
    (
        "namespace.stuck_terminating",
        &[("APIService", ANY), (CUSTOM, "finalizers")],
    ),
    (
        "operator.",
        &[
            (CUSTOM, "="),
            ("CustomResourceDefinition", ANY),
            ("Secret ConfigMap", "data -"),
        ],
    ),
    (
        "network.load_balancer_pending",
        &[("Service", ".type annotations loadBalancer ports")],
    ),
];

/// How directly a change of a field explains a fault: 0 is the most direct. `None` if it does not.
/// For an object that was created or deleted there is no field.
pub(super) fn explains(
    fault: &str,
    change: &ObjectChange,
    field: Option<&FieldChange>,
) -> Option<usize> {
    let fitting = MECHANISMS
        .iter()
        .filter(|(start, _)| fault.starts_with(start));
    let (_, reads) = fitting.max_by_key(|(start, _)| start.len())?;
    if field.is_some_and(|field| is_cosmetic(&field.path)) {
        return None;
    }
    let kind = change.kind();
    let fits = |(kinds, parts): &Reads| {
        is_one_of(&kind, kinds)
            && parts
                .split_whitespace()
                .any(|part| has(part, change, field))
    };
    let rank = reads.iter().position(fits)?;
    let is_relief = field.is_some_and(|field| is_relief(fault, field));
    (!is_relief).then_some(rank)
}

/// Fields of which less causes a fault, and those of which more does.
const FEWER: [&str; 7] = [
    "limits.",
    ".hard",
    "maxReplica",
    "max.",
    "sizeLimit",
    "memory",
    "allocatable",
];
const MORE: [&str; 5] = [
    "requests.",
    "minReplica",
    "min.",
    "spec.replicas",
    "minAvailable",
];

/// Whether a quantity was changed in the direction that helps against a fault.
fn is_relief(fault: &str, field: &FieldChange) -> bool {
    let of = |value: &Option<String>| value.as_deref().and_then(Quantity::parse);
    let has = |parts: &[&str]| parts.iter().any(|part| field.path.contains(part));
    let (old, new) = (of(&field.old), of(&field.new));
    if fault == "runtime.scaled_to_zero" && has(&["replicas", "Replica"]) {
        return new.is_some_and(|new| new.0 > 0);
    }
    let lacks_room = ["scheduling.", "admission.quota", "admission.limit"];
    let lacks_room = lacks_room.iter().any(|start| fault.starts_with(start));
    let is_more = if has(&[".hard"]) {
        false
    } else if has(&MORE) {
        // More pods need more room; where they are slow, fewer are the trouble.
        lacks_room || !has(&["spec.replicas", "minReplica"])
    } else if has(&FEWER) {
        // A pod with a higher limit can exceed a quota.
        fault.starts_with("admission.quota")
    } else {
        return false;
    };
    match (old, new) {
        (Some(old), Some(new)) => is_more == (new < old),
        // Without a limit there is none to reach.
        (Some(_), None) => field.new.is_none() && !has(&MORE) && has(&["limits.", ".hard"]),
        _ => false,
    }
}

/// Whether a field only says how much is logged, or to whom something belongs.
fn is_cosmetic(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace(['_', '-'], "");
    let words = [
        "loglevel",
        "verbosity",
        "description",
        "owner",
        "checksum",
        "timestamp",
    ];
    words.iter().any(|word| path.contains(word))
}

fn is_one_of(kind: &Kind, kinds: &str) -> bool {
    let name = kind.as_str().split('.').next().unwrap_or_default();
    kinds.split_whitespace().any(|one| {
        one == name || one == CUSTOM && matches!(kind, Kind::Other(_)) && !is_known(name)
    })
}

/// Kinds of Kubernetes that the engine has no rules for.
fn is_known(kind: &str) -> bool {
    [RIGHTS, WEBHOOKS, "CustomResourceDefinition APIService"]
        .iter()
        .any(|kinds| kinds.split_whitespace().any(|one| one == kind))
}

fn has(part: &str, change: &ObjectChange, field: Option<&FieldChange>) -> bool {
    match (part, change.verb, field) {
        ("+", Verb::Created, _) | ("-", Verb::Deleted, _) => true,
        ("+" | "-", _, _) => false,
        // Labels and annotations are for people and other programs.
        ("=", Verb::Changed, Some(field)) => !field.path.starts_with("metadata."),
        ("data", Verb::Changed, Some(field)) => {
            let content = ["data", "stringData", "binaryData"];
            content
                .iter()
                .any(|content| field.path.starts_with(content))
        }
        (part, Verb::Changed, Some(field)) => {
            let is_own = field.path.starts_with("metadata.");
            let marks = [
                "metadata.labels",
                "labels",
                "annotations",
                "finalizers",
                "pod-security",
            ];
            field.path.contains(part) && (!is_own || marks.contains(&part))
        }
        _ => false,
    }
}
