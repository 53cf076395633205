//! `kgrca resource`

use kgrca_core::api::{EdgeView, Page, ResourceView, Topology};
use kgrca_core::rca::ResourceRef;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Result};
use crate::output::{Table, resource};

/// List and show resources in the graph
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List resources that exist now
    List(ListArgs),
    /// Show a resource with its neighbors
    Show {
        /// UID of the resource, or KIND/NAME
        #[arg(value_name = "RESOURCE", add = crate::complete::resources())]
        id: String,
        /// How many edges to follow
        #[arg(long, default_value_t = 1)]
        depth: usize,
    },
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
        Verb::Show { id, depth } => show(env, id, depth),
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
                    r.resource.uid.clone().unwrap_or_default(),
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

fn show(env: &Env<'_>, id: String, depth: usize) -> Result {
    let client = env.client()?;
    let uid = match id.split_once('/') {
        Some((kind, name)) => uid_of(&client, kind, name)?,
        None => id,
    };
    let path = format!("/api/v1/graph/topology/{uid}");
    let topology: Topology = client.get(As::Tenant, &path, &[("depth", depth.to_string())])?;
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

/// The UID of the only resource of a kind and name.
fn uid_of(client: &Client, kind: &str, name: &str) -> Result<String> {
    let query = [("kind", kind.to_owned()), ("name", name.to_owned())];
    let page: Page<ResourceView> = client.get(As::Tenant, "/api/v1/resources", &query)?;
    let found: Vec<ResourceRef> = page.items.into_iter().map(|r| r.resource).collect();
    only_uid(kind, name, &found)
}

fn only_uid(kind: &str, name: &str, found: &[ResourceRef]) -> Result<String> {
    match found {
        [] => {
            let message = format!("{kind} `{name}` not found");
            Err(CliError::not_found(message).hint("kgrca resource list"))
        }
        [one] => one.uid.clone().ok_or_else(|| {
            CliError::failed(format!("the UID of {kind} `{name}` is not known yet"))
        }),
        several => {
            let uids: Vec<String> = several
                .iter()
                .map(|r| format!("{} ({})", r.uid.as_deref().unwrap_or("-"), r.namespace))
                .collect();
            let message = format!("{} resources are named {kind} `{name}`", several.len());
            Err(CliError::usage(message).hint(format!("pass a UID: {}", uids.join(", "))))
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
        let error = only_uid("Pod", "web", &[]).unwrap_err();
        assert_eq!(error.message, "Pod `web` not found");
        let one = [named("a", "u1")];
        assert_eq!(only_uid("Pod", "web", &one).unwrap(), "u1");
        let two = [named("a", "u1"), named("b", "u2")];
        let error = only_uid("Pod", "web", &two).unwrap_err();
        assert_eq!(error.message, "2 resources are named Pod `web`");
        assert_eq!(error.hint.as_deref(), Some("pass a UID: u1 (a), u2 (b)"));
    }
}
