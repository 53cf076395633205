//! A recorded case as the objects, events and log lines of the Kubernetes API.

use std::collections::{BTreeMap, BTreeSet};

use kgrca_core::model::Time;
use kgrca_core::model::watched::{WATCHED, Watched};
use serde_json::{Value, json};

use crate::faults::move_times;
use crate::repository;

/// Fields of a record that its object has in its metadata, or not at all.
const OF_RECORDS: [&str; 20] = [
    "op",
    "at",
    "cluster",
    "src",
    "seq",
    "client_id",
    "uid",
    "namespace",
    "name",
    "created",
    "labels",
    "annotations",
    "ownerRefs",
    "node",
    "podIP",
    "image",
    "replicas",
    "serviceSelector",
    "resourceVersion",
    "generation",
];

/// What a recording holds at its end.
pub struct Recording {
    /// The newest record of each object, by kind, namespace and name.
    pub objects: BTreeMap<(String, String, String), Value>,
    /// Records of events.
    pub events: Vec<Value>,
    /// Records of log lines.
    pub logs: Vec<Value>,
    newest: Time,
}

impl Recording {
    /// Reads a case of `tests/scenarios`.
    pub fn read(case: &str) -> Self {
        let path = repository().join(format!("tests/scenarios/{case}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut this = Self {
            objects: BTreeMap::new(),
            events: Vec::new(),
            logs: Vec::new(),
            newest: Time(0),
        };
        for line in text.lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let record = line["value"].take();
            this.add(line["topic"].as_str().unwrap(), record);
        }
        this
    }

    fn add(&mut self, topic: &str, record: Value) {
        let times = ["at", "event_time", "lastTimestamp"];
        let times = times
            .iter()
            .filter_map(|key| Time::parse(record[*key].as_str()?));
        self.newest = times.max().max(Some(self.newest)).unwrap();
        match topic {
            "state.k8s.resource" => {
                let of = |key: &str| first([&record[key], &record["metadata"][key]]);
                let key = (text(&record["kind"]), of("namespace"), of("name"));
                match record["op"].as_str() {
                    Some("SYNC") => {}
                    Some("DELETE") => drop(self.objects.remove(&key)),
                    _ => drop(self.objects.insert(key, record)),
                }
            }
            "events.normalized" => self.events.push(record),
            "logs.normalized" => self.logs.push(record),
            _ => {}
        }
    }

    /// Moves all times so that the newest record is of this one.
    pub fn end_at(&mut self, now: Time) {
        let by = now.0 - self.newest.0;
        let records = self.objects.values_mut().chain(&mut self.events);
        records
            .chain(&mut self.logs)
            .for_each(|record| move_times(record, by));
    }

    /// The namespaces that objects and events are in, without those that are recorded themselves.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let of_objects = self
            .objects
            .keys()
            .map(|(_, namespace, _)| namespace.clone());
        let of_events = self.events.iter().map(|event| {
            let meta = &event["metadata"]["namespace"];
            first([meta, &event["subject"]["ns"]])
        });
        let all = of_objects.chain(of_events).filter(|name| !name.is_empty());
        let is_recorded = |name: &String| {
            let key = ("Namespace".to_owned(), String::new(), name.clone());
            self.objects.contains_key(&key)
        };
        all.filter(|name| !is_recorded(name)).collect()
    }

    /// Adds what the API server requires and recordings leave out.
    pub fn complete(&self, object: &mut Value) {
        let meta = object["metadata"].clone();
        match object["kind"].as_str().unwrap() {
            "ReplicaSet" if !object["spec"]["template"]["spec"]["containers"].is_array() => {
                let owner = text(&meta["ownerReferences"][0]["name"]);
                let key = ("Deployment".to_owned(), text(&meta["namespace"]), owner);
                if let Some(deployment) = self.objects.get(&key) {
                    let spec = &deployment["spec"]["template"]["spec"];
                    object["spec"]["template"]["spec"] = spec.clone();
                }
            }
            "Lease" => {
                for time in ["renewTime", "acquireTime"] {
                    in_microseconds(&mut object["spec"][time]);
                }
            }
            "Namespace" => drop(object.as_object_mut().unwrap().remove("spec")),
            // The API server makes both itself.
            "Job" => {
                drop(object["spec"].as_object_mut().unwrap().remove("selector"));
                let labels = &mut object["spec"]["template"]["metadata"]["labels"];
                if let Some(labels) = labels.as_object_mut() {
                    labels.retain(|name, _| !name.ends_with("-uid") && !name.ends_with("job-name"));
                }
            }
            "Pod" => drop(object["spec"].as_object_mut().unwrap().remove("priority")),
            "Service" => {
                let address = object["spec"]["clusterIP"].as_str().unwrap_or("None");
                if address != "None" && !address.starts_with("10.96.") {
                    let spec = object["spec"].as_object_mut().unwrap();
                    spec.remove("clusterIP");
                    spec.remove("clusterIPs");
                }
            }
            _ => {}
        }
        if !matches!(
            object["kind"].as_str(),
            Some("ReplicaSet" | "Deployment" | "DaemonSet")
        ) {
            return;
        }
        let spec = object["spec"].as_object_mut().unwrap();
        let labels = &spec["template"]["metadata"]["labels"];
        let selector = json!({"matchLabels": labels});
        let selector = spec.entry("selector").or_insert(selector).clone();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            spec["template"]["metadata"]["labels"][key] = value.clone();
        }
    }
}

/// The object of a record, whether it is one of the API or has its metadata flat.
pub fn object(record: &Value) -> Value {
    let fields = record.as_object().unwrap().iter();
    let own = fields.filter(|(name, _)| !OF_RECORDS.contains(&name.as_str()));
    let mut object = Value::Object(own.map(|(k, v)| (k.clone(), v.clone())).collect());
    let kind = text(&record["kind"]);
    object["apiVersion"] = watched(&kind).api_version().into();
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
        meta.remove("managedFields");
        return object;
    }
    let mut meta = json!({"name": record["name"]});
    for (from, to) in [
        ("namespace", "namespace"),
        ("created", "creationTimestamp"),
        ("labels", "labels"),
        ("annotations", "annotations"),
    ] {
        if !record[from].is_null() {
            meta[to] = record[from].clone();
        }
    }
    let owners = record["ownerRefs"].as_array().into_iter().flatten();
    let owners = owners.map(|owner| {
        let version = WATCHED.iter().find(|w| owner["kind"] == w.kind);
        let version = version.map(Watched::api_version).unwrap_or("v1".to_owned());
        let (kind, name, uid) = (&owner["kind"], &owner["name"], first([&owner["uid"]]));
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
    });
    meta["ownerReferences"] = owners.collect();
    object["metadata"] = meta;
    object
}

/// Writes a time as the API takes those of leases: with six digits behind the point.
pub fn in_microseconds(time: &mut Value) {
    if let Some(at) = time
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
    {
        *time = format!("{at:.6}").into();
    }
}

/// An event of the API for a normalized record.
pub fn event(record: &Value, number: usize) -> Value {
    let subject = &record["subject"];
    let namespace = first([&subject["ns"], &"default".into()]);
    let kind = text(&subject["kind"]);
    let second = |value: &Value| format!("{}Z", value.as_str().unwrap().get(..19).unwrap());
    let is_warning = matches!(
        record["severity"].as_str(),
        Some("WARNING" | "ERROR" | "CRITICAL")
    );
    let from = [&record["first_time"], &record["event_time"]];
    let from = from.into_iter().find(|time| time.is_string()).unwrap();
    let version = WATCHED.iter().find(|w| w.kind == kind);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("e{number:04}"), "namespace": namespace},
        "involvedObject": {
            "apiVersion": version.map(Watched::api_version).unwrap_or("v1".to_owned()),
            "kind": kind, "name": subject["name"], "namespace": subject["ns"],
            "uid": first([&subject["uid"]]),
        },
        "type": if is_warning { "Warning" } else { "Normal" },
        "reason": record["reason"], "message": record["message"],
        "count": record["count"].as_u64().unwrap_or(1),
        "firstTimestamp": second(from), "lastTimestamp": second(&record["event_time"]),
        "source": {"component": first([&record["source"], &"test".into()])},
    })
}

/// A kind by its name.
pub fn watched(kind: &str) -> &'static Watched {
    let found = WATCHED.iter().find(|w| w.kind == kind);
    found.unwrap_or_else(|| panic!("{kind} is not among the kinds that are read"))
}

/// A text, or an empty one.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The first that is a text and not empty.
fn first<const N: usize>(values: [&Value; N]) -> String {
    let mut texts = values.into_iter().filter_map(Value::as_str);
    texts
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}
