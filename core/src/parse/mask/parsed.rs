//! The replacement of values by their hash, on parsed objects: for records that did not come
//! through ingestion. Whether an object came by HTTP or by Kafka, its hashes are the same.

use std::sync::Arc;

use super::HashKey;
use crate::model::object::pod::PodSpec;
use crate::model::object::{Container, Fields, List, Object, ObjectBody};
use crate::model::{Kind, Str};

impl HashKey {
    /// Replaces the values of an object's containers that nothing reads. Those that ingestion
    /// replaced stay as they are.
    pub fn replace_in(&self, object: &mut Object) {
        if !object.fields.is_empty() {
            object.fields = self.fields(&object.meta.kind, &object.fields);
        }
        let template = match &mut object.body {
            ObjectBody::Pod(pod) => {
                // A record that was just parsed shares its spec with no other.
                if let Some(spec) = pod.spec.as_mut().and_then(Arc::get_mut) {
                    self.replace_in_pod(spec);
                }
                return;
            }
            ObjectBody::Workload(workload) => workload.spec.template.as_mut(),
            ObjectBody::Job(job) => job.spec.template.as_mut(),
            ObjectBody::CronJob(cron) => {
                let job = cron.spec.job_template.as_mut();
                job.and_then(|job| job.spec.template.as_mut())
            }
            _ => return,
        };
        if let Some(template) = template {
            self.replace_in_pod(&mut template.spec);
        }
    }

    /// The same of the fields by which versions are compared.
    fn fields(&self, kind: &Kind, fields: &Fields) -> Fields {
        let leaves = fields.leaves().into_iter().map(|(path, value)| {
            let value = self
                .leaf(kind, &path, value)
                .unwrap_or_else(|| value.to_owned());
            (path, value)
        });
        Fields::new(leaves.collect())
    }

    /// What replaces the value of a field; `None` if it stays.
    fn leaf(&self, kind: &Kind, path: &str, value: &str) -> Option<String> {
        let last = path.rsplit('.').next();
        let is_arguments = matches!(last, Some("args" | "command"));
        let variable = path
            .strip_suffix("].value")
            .and_then(|p| p.rsplit_once(".env["));
        let is_config = *kind == Kind::ConfigMap && !path.starts_with("metadata.");
        if !is_arguments && variable.is_none() && !is_config {
            return None;
        }
        if let Ok(mut arguments) = serde_json::from_str::<List<Str>>(value) {
            self.replace_arguments(&mut arguments);
            return serde_json::to_string(&arguments.0).ok();
        }
        let text: String = serde_json::from_str(value).ok()?;
        let name = variable.map(|(_, name)| name).unwrap_or_default();
        serde_json::to_string(&*self.variable(name, &text)).ok()
    }

    fn replace_in_pod(&self, spec: &mut PodSpec) {
        let init = spec.init_containers.0.iter_mut();
        for container in init.chain(spec.containers.0.iter_mut()) {
            self.replace_in_container(container);
        }
    }

    fn replace_in_container(&self, container: &mut Container) {
        for variable in &mut container.env.0 {
            if let Some(value) = &mut variable.value {
                set(value, &self.variable(&variable.name, &value.clone()));
            }
        }
        for arguments in [&mut container.command, &mut container.args] {
            self.replace_arguments(arguments);
        }
    }

    fn replace_arguments(&self, arguments: &mut List<Str>) {
        let mut before: Option<Str> = None;
        for argument in &mut arguments.0 {
            let text = argument.clone();
            set(argument, &self.argument(before.as_deref(), &text));
            before = Some(text);
        }
    }
}

fn set(text: &mut Str, with: &str) {
    if **text != *with {
        *text = with.into();
    }
}

#[cfg(test)]
mod tests {
    use super::super::hashed_record;
    use super::*;
    use crate::model::{Body, Topic};
    use crate::parse::{Context, parse};

    fn containers(text: &[u8], key: Option<&HashKey>) -> Vec<String> {
        let mut records = Vec::new();
        parse(Topic::Resource, text, &Context::default(), &mut records).unwrap();
        let Body::State(_, object) = &mut records[0].body else {
            panic!("an object");
        };
        if let Some(key) = key {
            key.replace_in(object);
        }
        let template = |t: &crate::model::object::workload::Template| format!("{:?}", t.spec);
        let found = match &object.body {
            ObjectBody::Pod(pod) => pod.spec.as_ref().map(|spec| format!("{spec:?}")),
            ObjectBody::Workload(w) => w.spec.template.as_deref().map(template),
            ObjectBody::Job(job) => job.spec.template.as_deref().map(template),
            ObjectBody::CronJob(cron) => {
                let job = cron.spec.job_template.as_ref();
                job.and_then(|j| j.spec.template.as_deref().map(template))
            }
            _ => None,
        };
        vec![found.unwrap()]
    }

    #[test]
    fn the_fields_by_which_versions_are_compared_have_the_same_hashes() {
        let key = HashKey::new(b"secret of one tenant");
        let config = r#"{"kind":"ConfigMap","cluster":"prod","metadata":{"name":"x","namespace":
            "shop"},"data":{"greeting":"good morning","url":"http://pay:80/x"}}"#;
        let deployment = r#"{"kind":"Deployment","cluster":"prod","metadata":{"name":"x",
            "namespace":"shop"},"spec":{"template":{"spec":{"containers":[{"name":"c",
            "command":["sh","-c","echo hunter of it"],"args":["--owner=kim"],
            "env":[{"name":"GREETING","value":"good morning"}]}]}}}}"#;
        for text in [config, deployment] {
            let fields = |text: &[u8], key: Option<&HashKey>| {
                let mut records = Vec::new();
                parse(Topic::Resource, text, &Context::default(), &mut records).unwrap();
                let Body::State(_, object) = &mut records[0].body else {
                    panic!("an object");
                };
                if let Some(key) = key {
                    key.replace_in(object);
                }
                format!("{:?}", object.fields)
            };
            let by_http = hashed_record(Topic::Resource, text.as_bytes(), &key).into_owned();
            let hashed = fields(&by_http, None);
            assert_eq!(fields(text.as_bytes(), Some(&key)), hashed);
            assert_eq!(fields(&by_http, Some(&key)), hashed, "twice");
            for secret in ["good morning", "hunter", "kim"] {
                assert!(!hashed.contains(secret), "{hashed}");
            }
        }
    }

    #[test]
    fn an_object_has_the_same_hashes_whichever_way_it_came() {
        let key = HashKey::new(b"secret of one tenant");
        let pod = r#"{"initContainers":[{"name":"i","image":"a","args":["--owner=kim","run"]}],
            "containers":[{"name":"c","image":"a","command":["sh","-c","echo hunter of it"],
            "args":["--mode","loud words","--url=http://pay:80/x"],
            "env":[{"name":"GREETING","value":"good morning"},{"name":"DB_HOST","value":"db"},
            {"name":"URL","value":"postgres://db:5432/shop"},{"name":"PORT","value":"8080"}]}]}"#;
        let meta = r#""metadata":{"name":"x","namespace":"shop"},"cluster":"prod""#;
        for (kind, spec) in [
            ("Pod", pod.to_owned()),
            ("Deployment", format!(r#"{{"template":{{"spec":{pod}}}}}"#)),
            ("Job", format!(r#"{{"template":{{"spec":{pod}}}}}"#)),
            (
                "CronJob",
                format!(r#"{{"jobTemplate":{{"spec":{{"template":{{"spec":{pod}}}}}}}}}"#),
            ),
        ] {
            let text = format!(r#"{{"apiVersion":"v1","kind":"{kind}",{meta},"spec":{spec}}}"#);
            let by_http = hashed_record(Topic::Resource, text.as_bytes(), &key).into_owned();
            let plain = containers(text.as_bytes(), None);
            let hashed = containers(&by_http, None);
            assert_eq!(containers(text.as_bytes(), Some(&key)), hashed, "{kind}");
            assert_eq!(containers(&by_http, Some(&key)), hashed, "{kind}, twice");
            assert!(plain[0].contains("good morning") && plain[0].contains("loud words"));
            for secret in ["good morning", "loud words", "hunter", "kim"] {
                assert!(!hashed[0].contains(secret), "{kind}: {}", hashed[0]);
            }
            for read in ["pay:80", "db:5432", "8080"] {
                assert!(hashed[0].contains(read), "{kind}: {}", hashed[0]);
            }
        }
    }
}
