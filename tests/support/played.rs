//! Recordings made real: their objects are created through the API of a real control plane, with
//! their status through the subresource, their events, and their log lines at a kubelet. All times
//! are moved so that the recording ends now.
//!
//! Controllers must not run: they would repair what a recording shows. What no API sets is written
//! to the control plane's storage behind it: since when an object exists.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kgrca_core::model::Time;
use kgrca_core::model::watched::{WATCHED, Watched};
use serde_json::{Value, json};

use crate::kube::Kube;
use crate::kubelet::Kubelet;
use crate::recording::{self, Recording, object, text, watched};

/// Kinds without a status, or whose status the API does not take apart.
const STATELESS: [&str; 10] = [
    "ConfigMap",
    "Secret",
    "Lease",
    "EndpointSlice",
    "StorageClass",
    "IngressClass",
    "PriorityClass",
    "RuntimeClass",
    "ServiceAccount",
    "LimitRange",
];
/// A control plane without controllers, in which one recording after the other is made real.
pub struct Stage<'a> {
    kube: &'a Kube,
    kubelet: &'a Kubelet,
    http: reqwest::Client,
    /// Uids that the API server gave, by kind and name.
    uids: BTreeMap<(String, String), String>,
}

impl<'a> Stage<'a> {
    /// On a control plane whose logs a kubelet serves.
    pub fn new(kube: &'a Kube, kubelet: &'a Kubelet) -> Self {
        // Fails only when another test has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(&kube.ca()).unwrap();
        let http = reqwest::Client::builder().add_root_certificate(ca);
        Self {
            kube,
            kubelet,
            http: http.build().unwrap(),
            uids: BTreeMap::new(),
        }
    }

    /// Makes a case of `tests/scenarios` real, and nothing else.
    pub async fn play(&mut self, case: &str) {
        self.clear().await;
        let mut recording = Recording::read(case);
        recording.end_at(Time(jiff::Timestamp::now().as_microsecond()));
        for name in recording.namespaces() {
            let object = json!({"kind": "Namespace", "metadata": {"name": name}});
            self.create(watched("Namespace"), object).await;
        }
        for kind in WATCHED.iter().filter(|kind| kind.kind != "Event") {
            // The API server has a Service of its own.
            let is_own = |name: &str| kind.kind == "Service" && name == "kubernetes";
            let all = recording.objects.iter();
            let of_kind = all.filter(|((k, _, name), _)| k == kind.kind && !is_own(name));
            let objects: Vec<Value> = of_kind.map(|(_, record)| object(record)).collect();
            for mut object in objects {
                recording.complete(&mut object);
                self.create(kind, object).await;
            }
        }
        for (i, event) in recording.events.iter().enumerate() {
            let event = self.event(event, i);
            self.post(watched("Event"), &event).await;
        }
        self.kubelet.serve(&recording.logs, &recording.objects);
    }

    /// Adds copies of what is there, under names of their own, until there are so many of a kind.
    pub async fn multiply(&self, plural: &str, count: usize) {
        let folder = format!("/registry/{plural}/");
        let range = json!({
            "key": STANDARD.encode(&folder),
            "range_end": STANDARD.encode(format!("{folder}~")),
        });
        let found = self.etcd("range", &range).await;
        let all = found["kvs"].as_array().unwrap();
        let decoded = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
        let sources: Vec<(String, Value)> = all
            .iter()
            .map(|kv| {
                let key = String::from_utf8(decoded(&kv["key"])).unwrap();
                (key, serde_json::from_slice(&decoded(&kv["value"])).unwrap())
            })
            .collect();
        for i in sources.len()..count {
            let (key, mut object) = sources[i % sources.len()].clone();
            let name = format!("{}-{i}", text(&object["metadata"]["name"]));
            object["metadata"]["uid"] = format!("00000000-0000-4000-8000-{i:012}").into();
            object["metadata"]["name"] = name.as_str().into();
            let (folder, _) = key.rsplit_once('/').unwrap();
            let (key, value) = (format!("{folder}/{name}"), object.to_string());
            let pair = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
            self.etcd("put", &pair).await;
        }
    }

    /// Removes everything but what the API server made itself.
    async fn clear(&mut self) {
        self.uids.clear();
        for kind in WATCHED.iter().filter(|kind| kind.kind != "PriorityClass") {
            let kept = match kind.kind {
                "Namespace" => &["default", "kube-node-lease", "kube-public", "kube-system"][..],
                "Service" => &["default/kubernetes"],
                _ => &[],
            };
            self.delete_all(registry(kind), kept).await;
        }
        self.delete_all("ipaddresses", &["10.96.0.1"]).await;
    }

    async fn create(&mut self, kind: &Watched, mut object: Value) {
        let status = object.as_object_mut().unwrap().remove("status");
        let meta = object["metadata"].as_object_mut().unwrap();
        let created = meta.remove("creationTimestamp");
        meta.remove("uid");
        for owner in object["metadata"]["ownerReferences"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            let key = (text(&owner["kind"]), text(&owner["name"]));
            let uid = self
                .uids
                .get(&key)
                .cloned()
                .unwrap_or_else(|| text(&owner["uid"]));
            owner["uid"] = uid.into();
            owner.as_object_mut().unwrap().remove("blockOwnerDeletion");
        }
        let mut made = self.post(kind, &object).await;
        let name = text(&made["metadata"]["name"]);
        let key = (kind.kind.to_owned(), name.clone());
        self.uids.insert(key, text(&made["metadata"]["uid"]));
        if let Some(mut status) = status.filter(|_| !STATELESS.contains(&kind.kind)) {
            if kind.kind == "Node" {
                self.kubelet.answers_at(&mut status);
            }
            made["status"] = status;
            let path = format!("{}/{name}/status", path(kind, &made));
            let request = self.http.put(self.kube.url(&path)).json(&made);
            self.send(request, &path).await;
        }
        if let Some(created) = created {
            self.backdate(kind, &made["metadata"], &created).await;
        }
    }

    /// Creates an object; one that is there already, such as a namespace of Kubernetes, stays.
    async fn post(&self, kind: &Watched, object: &Value) -> Value {
        let path = path(kind, object);
        let request = self.http.post(self.kube.url(&path)).json(object);
        let answer = request.bearer_auth("admin-token").send().await.unwrap();
        if answer.status() == 409 {
            return self
                .get(&format!("{path}/{}", text(&object["metadata"]["name"])))
                .await;
        }
        let is_ok = answer.status().is_success();
        let answer: Value = answer.json().await.unwrap();
        assert!(is_ok, "{path}: {}\n{object}", answer["message"]);
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.send(self.http.get(self.kube.url(path)), path).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, what: &str) -> Value {
        let answer = request.bearer_auth("admin-token").send().await.unwrap();
        let is_ok = answer.status().is_success();
        let answer: Value = answer.json().await.unwrap();
        assert!(is_ok, "{what}: {}", answer["message"]);
        answer
    }

    /// Sets since when an object exists.
    async fn backdate(&self, kind: &Watched, meta: &Value, created: &Value) {
        let namespace = meta["namespace"].as_str().map(|n| format!("{n}/"));
        let (folder, name) = (registry(kind), text(&meta["name"]));
        let key = format!("/registry/{folder}/{}{name}", namespace.unwrap_or_default());
        let found = self
            .etcd("range", &json!({"key": STANDARD.encode(&key)}))
            .await;
        let value = STANDARD.decode(text(&found["kvs"][0]["value"])).unwrap();
        let mut value: Value = serde_json::from_slice(&value).unwrap();
        let second = created.as_str().unwrap().get(..19).unwrap();
        value["metadata"]["creationTimestamp"] = format!("{second}Z").into();
        let value = STANDARD.encode(value.to_string());
        self.etcd(
            "put",
            &json!({"key": STANDARD.encode(&key), "value": value}),
        )
        .await;
    }

    /// Deletes everything in a folder of the storage but some keys, which are in order.
    async fn delete_all(&self, folder: &str, kept: &[&str]) {
        let key = |name: &str| format!("/registry/{folder}/{name}");
        let starts = std::iter::once(key("")).chain(kept.iter().map(|name| key(name) + "\0"));
        let ends = kept.iter().map(|name| key(name));
        // What follows all names.
        for (start, end) in starts.zip(ends.chain([key("~")])) {
            let range = json!({"key": STANDARD.encode(start), "range_end": STANDARD.encode(end)});
            self.etcd("deleterange", &range).await;
        }
    }

    async fn etcd(&self, call: &str, body: &Value) -> Value {
        let url = format!("{}/v3/kv/{call}", self.kube.etcd());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// An event as the API takes it.
    fn event(&self, record: &Value, number: usize) -> Value {
        let mut event = if record["involvedObject"].is_object() {
            let mut event = object(record);
            event["metadata"] = json!({
                "name": record["metadata"]["name"],
                "namespace": record["metadata"]["namespace"],
            });
            event
        } else {
            recording::event(record, number)
        };
        event["kind"] = "Event".into();
        recording::in_microseconds(&mut event["eventTime"]);
        let of = &mut event["involvedObject"];
        if let Some(uid) = self.uids.get(&(text(&of["kind"]), text(&of["name"]))) {
            of["uid"] = uid.as_str().into();
        }
        event
    }
}

/// The path of the list that an object belongs to.
fn path(kind: &Watched, object: &Value) -> String {
    let path = kind.path();
    let Some(namespace) = object["metadata"]["namespace"].as_str() else {
        return path;
    };
    let (group, plural) = path.rsplit_once('/').unwrap();
    format!("{group}/namespaces/{namespace}/{plural}")
}

/// The folder of a kind in the storage of the API server.
fn registry(kind: &Watched) -> &'static str {
    match kind.kind {
        "Node" => "minions",
        "Service" => "services/specs",
        "Ingress" => "ingress",
        "ReplicationController" => "controllers",
        _ => kind.plural,
    }
}
