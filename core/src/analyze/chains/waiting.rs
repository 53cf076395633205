//! Components whose pods wait for what another one should give them.

use serde_json::{Value, json};

use super::world::{self, ONSET, Workload, object};

/// `b` waits for a Secret that an operator cannot read from `c`.
pub(super) fn store(b: &mut Workload, c: &Workload, seen: &str) -> Vec<Value> {
    let secret = format!("{}-keys", b.name);
    let message = format!("secret \"{secret}\" not found");
    b.container["env"] = json!([{"name": "KEY",
        "valueFrom": {"secretKeyRef": {"name": secret, "key": "key"}}}]);
    b.phase = "Pending";
    b.status = Some(json!({"ready": false, "state": {"waiting": {
        "reason": "CreateContainerConfigError", "message": message}}}));
    let failed = |reason: &str, message: &str| {
        json!({"conditions": [{"type": "Ready", "status": "False", "reason": reason,
            "message": message, "lastTransitionTime": ONSET}]})
    };
    let mut all = vec![
        object(
            json!({"apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore",
            "metadata": {"name": "backend", "uid": "store"},
            "spec": {"provider": {"vault": {"server": format!("http://{}:{}", c.host(), c.port)}}},
            "status": failed("InvalidProviderConfig", "unable to validate store")}),
        ),
        object(
            json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"namespace": b.namespace, "name": secret, "uid": secret},
            "spec": {"secretStoreRef": {"kind": "ClusterSecretStore", "name": "backend"},
                "target": {"name": secret}},
            "status": failed("SecretSyncedError", "could not get secret data from provider")}),
        ),
        world::event(
            "ClusterSecretStore",
            "",
            "backend",
            "ValidationFailed",
            seen,
            20,
        ),
    ];
    let waits = "error processing spec.data[0], err: ClusterSecretStore \"backend\" is not ready";
    all.push(world::event(
        "ExternalSecret",
        &b.namespace,
        &secret,
        "UpdateFailed",
        waits,
        20,
    ));
    all.extend(b.events("Failed", &format!("Error: {message}"), 90));
    all
}

/// `b` waits for a volume that `c` serves.
pub(super) fn volume(b: &mut Workload, c: &Workload) -> Vec<Value> {
    let claim = format!("{}-data", b.name);
    b.volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    b.phase = "Pending";
    b.status = Some(json!({"ready": false,
        "state": {"waiting": {"reason": "ContainerCreating"}}}));
    let message = format!(
        "MountVolume.SetUp failed for volume \"pv-{claim}\" : mount failed: exit status 32 Output: \
         mount.nfs: Connection timed out for {}:/export",
        c.host()
    );
    let mut all = vec![
        object(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": b.namespace, "name": claim, "uid": claim},
            "spec": {"volumeName": format!("pv-{claim}"), "accessModes": ["ReadWriteMany"]},
            "status": {"phase": "Bound"}})),
        object(json!({"apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": format!("pv-{claim}"), "uid": format!("pv-{claim}")},
            "spec": {"nfs": {"server": c.host(), "path": "/export"},
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": b.namespace,
                    "name": claim, "uid": claim}},
            "status": {"phase": "Bound"}})),
    ];
    all.extend(b.events("FailedMount", &message, 14));
    all
}

/// The pods of `b` cannot be made, as `c` does not admit them.
pub(super) fn webhook(b: &mut Workload, c: &Workload, seen: &str) -> Vec<Value> {
    b.made = Some(0);
    let name = format!("{}.example.com", c.name);
    let config = object(json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": c.name, "uid": format!("vwc-{}", c.name)},
        "webhooks": [{"name": name, "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": c.namespace, "name": c.name,
                "port": c.port}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["pods"]}]}]}));
    let message = format!(
        "Error creating: Internal error occurred: failed calling webhook \"{name}\": failed to call \
         webhook: Post \"https://{}.{}.svc:{}/validate?timeout=10s\": {seen}",
        c.name, c.namespace, c.port
    );
    let set = format!("{}-6c9d8f7b54", b.name);
    vec![
        config,
        world::event(
            "ReplicaSet",
            &b.namespace,
            &set,
            "FailedCreate",
            &message,
            16,
        ),
    ]
}
