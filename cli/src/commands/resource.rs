//! `kgrca resource`

use kgrca_core::api::{EdgeView, Page, ResourceView, Topology};
use kgrca_core::rca::ResourceRef;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Result};
use crate::output::{Format, Table, escape, now, resource};

/// List and show resources in the graph
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List resources, also those that others refer to and whose own state has not arrived
    List(ListArgs),
    /// Show a resource with its neighbors
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// UID of the resource, KIND/NAME, or KIND/NAMESPACE/NAME
    #[arg(value_name = "RESOURCE", add = crate::complete::resources())]
    id: String,
    /// Namespace, where several resources have the name
    #[arg(short, long)]
    namespace: Option<String>,
    /// How many edges to follow
    #[arg(long, default_value_t = 1)]
    depth: usize,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Kind, e.g. Pod
    #[arg(long)]
    kind: Option<String>,
    /// Namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Label
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Option<String>,
    /// Only unhealthy resources
    #[arg(long)]
    unhealthy: bool,
    /// Maximum number of rows
    #[arg(long, default_value_t = 200)]
    limit: usize,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List(args) => list(env, args),
        Verb::Show(args) => show(env, args),
    }
}

fn list(env: &Env<'_>, args: ListArgs) -> Result {
    let fields = [
        ("kind", args.kind),
        ("namespace", args.namespace),
        ("label", args.label),
        ("healthy", args.unhealthy.then(|| "false".into())),
    ];
    let mut query: Vec<(&str, String)> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    query.push(("limit", args.limit.to_string()));
    let page: Page<ResourceView> = env.client()?.get(As::Tenant, "/api/v1/resources", &query)?;
    env.out.value(&page, || {
        Table::new(&["UID", "KIND", "NAMESPACE", "NAME", "COMPONENT", "HEALTH"]).rows(
            &page.items,
            |r| {
                [
                    r.resource.uid.clone().unwrap_or_else(|| "-".to_owned()),
                    r.resource.kind.clone(),
                    r.resource.namespace.clone(),
                    r.resource.name.clone(),
                    r.component.clone(),
                    health(r).into(),
                ]
            },
        )
    })?;
    if page.next.is_some() {
        env.out.message("more resources match; raise --limit");
    }
    Ok(())
}

fn health(r: &ResourceView) -> &'static str {
    match r.healthy {
        Some(true) => "healthy",
        Some(false) => "unhealthy",
        None => "unknown",
    }
}

fn show(env: &Env<'_>, args: ShowArgs) -> Result {
    let client = env.client()?;
    let parts: Vec<&str> = args.id.split('/').collect();
    let named = |kind: &str, namespace: Option<&str>, name: &str| Named {
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned).or(args.namespace.clone()),
        name: name.to_owned(),
    };
    let uid = match parts.as_slice() {
        [kind, namespace, name] => named(kind, Some(namespace), name).uid(&client)?,
        [kind, name] => named(kind, None, name).uid(&client)?,
        _ => args.id.clone(),
    };
    let path = format!("/api/v1/graph/topology/{uid}");
    let query = [("depth", args.depth.to_string())];
    let topology: Topology = client.get(As::Tenant, &path, &query)?;
    if env.out.format == Format::Table
        && let Some(shown) = topology.resources.first()
    {
        env.out.text(&(head(env, shown) + "\n"))?;
        if topology.edges.is_empty() {
            return env.out.text("no edges to other resources\n");
        }
    }
    env.out.value(&topology, || {
        let cells = |e: &EdgeView| {
            [
                resource(&e.from),
                e.relation.clone(),
                resource(&e.to),
                env.out.time(e.valid_from),
            ]
        };
        Table::new(&["FROM", "EDGE", "TO", "SINCE"]).rows(&topology.edges, cells)
    })
}

/// The resource itself, on one line.
fn head(env: &Env<'_>, r: &ResourceView) -> String {
    let mut fields = vec![
        resource(&r.resource),
        health(r).to_owned(),
        r.component.clone(),
        format!("cluster {}", r.cluster),
        format!("uid {}", r.resource.uid.as_deref().unwrap_or("-")),
    ];
    fields.extend(
        r.created
            .map(|t| format!("created {}", env.out.age(now(), t))),
    );
    fields.extend(
        r.deleted
            .map(|t| format!("deleted {}", env.out.age(now(), t))),
    );
    let fields: Vec<_> = fields.iter().map(|f| escape::line(f)).collect();
    fields.join("  ")
}

/// A resource by its name.
struct Named {
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Named {
    /// The UID of the only resource of this name.
    fn uid(&self, client: &Client) -> Result<String> {
        let mut query = vec![("kind", self.kind.clone()), ("name", self.name.clone())];
        query.extend(self.namespace.clone().map(|n| ("namespace", n)));
        let page: Page<ResourceView> = client.get(As::Tenant, "/api/v1/resources", &query)?;
        let found: Vec<ResourceRef> = page.items.into_iter().map(|r| r.resource).collect();
        self.only_uid(&found)
    }

    fn only_uid(&self, found: &[ResourceRef]) -> Result<String> {
        let Self { kind, name, .. } = self;
        match found {
            [] => {
                let message = format!("{kind} `{name}` not found");
                Err(CliError::not_found(message).hint("kgrca resource list"))
            }
            [one] => one.uid.clone().ok_or_else(|| {
                let message = format!(
                    "{kind} `{name}` is only known from other resources that refer to it: it may \
                     not exist"
                );
                CliError::not_found(message)
                    .hint("show a resource that refers to it; `kgrca resource list` lists them")
            }),
            several => {
                let uids: Vec<String> = several
                    .iter()
                    .map(|r| format!("{} ({})", r.uid.as_deref().unwrap_or("-"), r.namespace))
                    .collect();
                let message = format!("{} resources are named {kind} `{name}`", several.len());
                let uids = uids.join(", ");
                Err(CliError::usage(message).hint(format!("pass -n NAMESPACE, or a UID: {uids}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_select_one_resource() {
        let named = |namespace: &str, uid: &str| ResourceRef {
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
            uid: Some(uid.to_owned()),
        };
        let pod = Named {
            kind: "Pod".to_owned(),
            namespace: None,
            name: "web".to_owned(),
        };
        let error = pod.only_uid(&[]).unwrap_err();
        assert_eq!(error.message, "Pod `web` not found");
        let one = [named("a", "u1")];
        assert_eq!(pod.only_uid(&one).unwrap(), "u1");
        let two = [named("a", "u1"), named("b", "u2")];
        let error = pod.only_uid(&two).unwrap_err();
        assert_eq!(error.message, "2 resources are named Pod `web`");
        let hint = "pass -n NAMESPACE, or a UID: u1 (a), u2 (b)";
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
}
