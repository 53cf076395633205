//! Lists the kinds that the engine reads, page by page.

use kgrca_core::analyze::{Page, Reader};
use kgrca_core::model::watched::{WATCHED, Watched};
use kgrca_core::model::{Kind, Time, Topic};
use kube::core::Request as Builder;
use kube::core::params::{ListParams, WatchParams};
use kube::core::request::Error as BadRequest;

use super::api::{Api, Refusal, Request};

/// Objects of a page.
const PAGE: u32 = 500;
/// Maximum bytes of a page: if it has more, fewer objects are asked for.
const PAGE_BYTES: usize = 16 << 20;
/// Most objects of a kind.
const MAX_OBJECTS: usize = 100_000;
/// How often a listing begins again whose continuation expired.
const MAX_RESTARTS: usize = 3;
/// Where kubelets and the control plane renew their leases; others have their own.
const LEASES: [&str; 2] = ["kube-node-lease", "kube-system"];
/// Where events about nodes are.
const NODE_EVENTS: &str = "default";

const fn cluster_wide(group: &'static str, plural: &'static str, kind: &'static str) -> Watched {
    Watched {
        group,
        version: "v1",
        plural,
        kind,
        topic: Topic::Resource,
    }
}

/// What only explains refusals of the API server. The agent does not watch it.
const OF_THE_API_SERVER: [Watched; 3] = [
    cluster_wide(
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
    ),
    cluster_wide(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
    ),
    cluster_wide("apiregistration.k8s.io", "apiservices", "APIService"),
];

/// A part of the cluster that is listed by one series of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub kind: &'static Watched,
    /// `None` for all namespaces, and for what has none.
    pub namespace: Option<String>,
    fields: Option<&'static str>,
}

impl Part {
    /// What to list of a namespace, or of all.
    pub(super) fn all(namespace: Option<&str>) -> Vec<Self> {
        let mut parts = Vec::new();
        for kind in WATCHED.iter().chain(&OF_THE_API_SERVER) {
            let of = |namespace: Option<&str>| Self {
                kind,
                namespace: namespace.map(str::to_owned),
                fields: None,
            };
            match (kind.kind, namespace) {
                ("Lease", _) => parts.extend(LEASES.map(|namespace| of(Some(namespace)))),
                ("Event", Some(own)) => {
                    parts.push(of(namespace));
                    let nodes = Self {
                        fields: Some("involvedObject.kind=Node"),
                        ..of(Some(NODE_EVENTS))
                    };
                    parts.extend((own != NODE_EVENTS).then_some(nodes));
                }
                _ if is_cluster_scoped(kind) => parts.push(of(None)),
                _ => parts.push(of(namespace)),
            }
        }
        parts
    }

    /// Whether the same can be listed in one namespace instead.
    pub(super) fn has_namespaces(&self) -> bool {
        self.namespace.is_none() && !is_cluster_scoped(self.kind)
    }

    /// The same in one namespace.
    pub(super) fn within(&self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self.clone()
        }
    }

    /// The same in all namespaces.
    pub(super) fn everywhere(&self) -> Self {
        Self {
            namespace: None,
            ..self.clone()
        }
    }

    /// Whether its objects are all that there are of the kind in the namespace.
    pub(super) fn is_whole(&self) -> bool {
        self.fields.is_none()
    }

    /// `deployments.apps`, as kubectl names it.
    pub(super) fn resource(&self) -> String {
        match self.kind.group {
            "" => self.kind.plural.to_owned(),
            group => format!("{}.{group}", self.kind.plural),
        }
    }

    fn path(&self) -> String {
        let path = self.kind.path();
        match &self.namespace {
            Some(namespace) => {
                let at = path.len() - self.kind.plural.len();
                format!("{}namespaces/{namespace}/{}", &path[..at], self.kind.plural)
            }
            None => path,
        }
    }

    /// Values of Secrets never leave the server.
    fn is_metadata_only(&self) -> bool {
        self.kind.kind == "Secret"
    }

    /// The request for a page.
    pub(super) fn list(&self, limit: u32, next: &str) -> Result<Request, BadRequest> {
        let params = ListParams {
            field_selector: self.fields.map(str::to_owned),
            limit: Some(limit),
            continue_token: (!next.is_empty()).then(|| next.to_owned()),
            ..ListParams::default()
        };
        let builder = Builder::new(self.path());
        if self.is_metadata_only() {
            builder.list_metadata(&params)
        } else {
            builder.list(&params)
        }
    }

    /// The request that watches it from a version on.
    pub(super) fn watch(&self, version: &str) -> Result<Request, BadRequest> {
        let params = WatchParams {
            field_selector: self.fields.map(str::to_owned),
            bookmarks: true,
            ..WatchParams::default()
        };
        let builder = Builder::new(self.path());
        if self.is_metadata_only() {
            builder.watch_metadata(&params, version)
        } else {
            builder.watch(&params, version)
        }
    }
}

fn is_cluster_scoped(kind: &'static Watched) -> bool {
    OF_THE_API_SERVER.contains(kind) || Kind::parse(kind.kind).is_cluster_scoped()
}

/// What a listing gave.
pub(super) struct Listed {
    pub part: Part,
    pub pages: Vec<Page>,
    /// When it began, or the reading that it is a part of.
    pub began: Time,
    /// The version from which a watch continues.
    pub version: String,
    /// Whether it was ended because there are too many objects.
    pub is_cut: bool,
}

/// Lists a part of a cluster.
pub(super) async fn list(
    api: &Api,
    cluster: &str,
    part: &Part,
    began: Time,
) -> Result<Listed, Refusal> {
    let mut restarts = 0;
    loop {
        match once(api, cluster, part, began).await {
            // The continuation expired: what was listed is no longer of one moment.
            Err(Refusal::Status(410, _)) if restarts < MAX_RESTARTS => restarts += 1,
            listed => return listed,
        }
    }
}

async fn once(api: &Api, cluster: &str, part: &Part, began: Time) -> Result<Listed, Refusal> {
    let mut listed = Listed {
        part: part.clone(),
        pages: Vec::new(),
        began,
        version: String::new(),
        is_cut: false,
    };
    let (mut limit, mut next, mut objects) = (PAGE, String::new(), 0);
    loop {
        let request = part.list(limit, &next).map_err(|e| invalid(&e))?;
        let answer = match api.get(&request, PAGE_BYTES).await {
            Err(Refusal::TooLarge) if limit > 1 => {
                limit = (limit / 8).max(1);
                continue;
            }
            answer => answer?,
        };
        let reader = Reader {
            kind: part.kind,
            cluster,
            at: listed.began,
        };
        let page = reader.page(&answer).map_err(|e| invalid(&e))?;
        objects += page.items;
        next.clone_from(&page.next);
        listed.version.clone_from(&page.version);
        listed.pages.push(page);
        listed.is_cut = objects >= MAX_OBJECTS && !next.is_empty();
        if next.is_empty() || listed.is_cut {
            return Ok(listed);
        }
    }
}

fn invalid(error: &dyn std::error::Error) -> Refusal {
    Refusal::Unreachable(format!("invalid answer of the API server: {error}"))
}
