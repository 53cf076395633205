//! How one component depends on another, and what it writes when that fails.

use serde_json::{Value, json};

use super::fault::Fault;
use super::waiting;
use super::world::{Workload, object};

/// How a component depends on the deepest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// An environment variable has the URL.
    Variable,
    /// A `ConfigMap` has the URL.
    Map,
    /// In a Secret, whose values are masked; errors name the host.
    Secret,
    /// Errors have the address of the Service.
    Address,
    /// A route of a mesh; the proxy's access log has the errors.
    Mesh,
    /// A proxy stands between the two.
    Proxy,
    /// A broker stands between: what should read its queue does not.
    Queue,
    /// An operator reads a Secret from it.
    Store,
    /// It serves a volume.
    Volume,
    /// It serves an admission webhook.
    Webhook,
}

impl Link {
    pub(super) const ALL: [Self; 10] = [
        Self::Variable,
        Self::Map,
        Self::Secret,
        Self::Address,
        Self::Mesh,
        Self::Proxy,
        Self::Queue,
        Self::Store,
        Self::Volume,
        Self::Webhook,
    ];

    /// Whether a fault shows along such a link.
    pub(super) fn carries(self, fault: Fault) -> bool {
        let stops = !fault.answers()
            && !matches!(
                fault,
                Fault::CertificateExpired | Fault::Throttled | Fault::VolumeFull
            );
        match self {
            Self::Queue => stops && fault != Fault::SelectorMismatch,
            Self::Volume => stops,
            Self::Webhook => !matches!(
                fault,
                Fault::ConnectionLimit | Fault::ReadOnly | Fault::Overloaded
            ),
            Self::Store => !matches!(
                fault,
                Fault::ConnectionLimit | Fault::ReadOnly | Fault::Overloaded
            ),
            Self::Mesh => !matches!(fault, Fault::ReadOnly | Fault::CertificateExpired),
            _ => true,
        }
    }

    /// Ties `b` to `c`, and adds what else shows that `b` suffers from `fault`.
    pub(super) fn tie(
        self,
        b: &mut Workload,
        c: &mut Workload,
        fault: Fault,
        say: Style,
    ) -> Vec<Value> {
        let (host, port) = (c.host(), c.port);
        let scheme = fault.scheme(port);
        let url = format!("{scheme}://{host}:{port}");
        let seen = fault.seen(&url, &host, port);
        let variable = |value: &str| json!([{"name": "UPSTREAM_URL", "value": value}]);
        match self {
            Self::Variable => {
                b.container["env"] = variable(&url);
                b.logs("ERROR", &say.line(&seen))
            }
            Self::Map => {
                let name = format!("{}-settings", b.name);
                b.container["envFrom"] = json!([{"configMapRef": {"name": name}}]);
                let map = object(json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"namespace": b.namespace, "name": name, "uid": name},
                    "data": {"upstream": url}}));
                [vec![map], b.logs("ERROR", &say.line(&seen))].concat()
            }
            Self::Secret => {
                let name = format!("{}-settings", b.name);
                b.container["envFrom"] = json!([{"secretRef": {"name": name}}]);
                let secret = object(json!({"apiVersion": "v1", "kind": "Secret",
                    "metadata": {"namespace": b.namespace, "name": name, "uid": name}}));
                [vec![secret], b.logs("ERROR", &say.line(&seen))].concat()
            }
            Self::Address => {
                b.container["env"] = variable(&url);
                let url = format!("{scheme}://{}:{port}", c.address());
                b.logs("ERROR", &say.line(&fault.seen(&url, &c.address(), port)))
            }
            Self::Mesh => self.mesh(b, c, fault),
            Self::Proxy | Self::Queue => Vec::new(),
            Self::Store => waiting::store(b, c, &seen),
            Self::Volume => waiting::volume(b, c),
            Self::Webhook => waiting::webhook(b, c, &seen),
        }
    }

    /// The component between the two, if there is one.
    pub(super) fn between(
        self,
        b: &mut Workload,
        c: &mut Workload,
        name: &str,
        fault: Fault,
    ) -> (Option<Workload>, Vec<Value>) {
        let (host, port) = (c.host(), c.port);
        match self {
            Self::Proxy => {
                let mut proxy = Workload::new(&b.namespace, name, 6432);
                let url = format!("{}://{host}:{port}", fault.scheme(port));
                proxy.container["env"] = json!([{"name": "BACKEND", "value": url}]);
                let mut all = proxy.logs("ERROR", &fault.seen(&url, &host, port));
                b.container["env"] = json!([{"name": "UPSTREAM_URL",
                    "value": format!("{}://{}:6432", fault.scheme(port), proxy.host())}]);
                let line = format!("GET http://{}:6432/v1: 502 Bad Gateway", proxy.host());
                all.extend(b.logs("ERROR", &line));
                (Some(proxy), all)
            }
            Self::Queue => {
                let broker = Workload::new(&b.namespace, name, 5672);
                let url = format!("amqp://{}:5672", broker.host());
                b.container["env"] = json!([{"name": "BROKER_URL", "value": url}]);
                c.container["env"] = json!([{"name": "BROKER_URL", "value": url},
                    {"name": "WORK_TOPIC", "value": "orders-work"}]);
                let line = "ProducerBlockedQuotaExceededException: Cannot create producer on topic \
                            orders-work with backlog quota exceeded";
                (Some(broker), b.logs("ERROR", line))
            }
            _ => (None, Vec::new()),
        }
    }

    fn mesh(self, b: &mut Workload, c: &Workload, fault: Fault) -> Vec<Value> {
        let host = format!("{}.mesh.internal", c.name);
        b.container["env"] = json!([{"name": "UPSTREAM_URL", "value": format!("http://{host}")}]);
        let route = object(
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"namespace": b.namespace, "name": c.name, "uid": format!("vs-{}", c.name)},
            "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": c.host(),
                "port": {"number": c.port}}}]}]}}),
        );
        let flags = match fault {
            Fault::SelectorMismatch | Fault::ScaledToZero => "503 UH no_healthy_upstream",
            Fault::Throttled => "504 UT upstream_response_timeout",
            Fault::VolumeFull | Fault::NotServing | Fault::ConnectionLimit | Fault::Overloaded => {
                "503 - via_upstream"
            }
            _ => {
                "503 UF upstream_reset_before_response_started{connection_failure,\
                 delayed_connect_error:_111}"
            }
        };
        let line = format!(
            "[2026-03-10T11:57:00.000Z] \"GET /v1 HTTP/1.1\" {flags} - \"-\" 0 91 2 - \"-\" \
             \"client\" \"7f\" \"{host}\" \"-\" outbound|{}||{} - 10.96.0.9:80 10.42.0.4:41000 - -",
            c.port,
            c.host()
        );
        [vec![route], b.logs("ERROR", &line)].concat()
    }
}

/// The wording of a program's errors.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Plain,
    Json,
    Java,
}

impl Style {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Json, Self::Java];

    pub(super) fn line(self, what: &str) -> String {
        match self {
            Self::Plain => format!("cannot load orders: {what}"),
            Self::Json => {
                json!({"level": "error", "msg": "request failed", "err": what}).to_string()
            }
            Self::Java => format!(
                "ERROR c.e.Api - request failed\njava.lang.IllegalStateException: cannot load\n\tat \
                 com.example.Api.load(Api.java:4)\nCaused by: java.io.IOException: {what}\n\tat \
                 com.example.Client.call(Client.java:9)"
            ),
        }
    }
}
