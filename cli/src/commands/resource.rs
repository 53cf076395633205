//! `kgrca resource`

use kgrca_core::api::{Page, ResourceView, Topology};

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Result, exit};
use crate::output::Table;

/// Looks at resources of the graph.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List live resources
    List {
        /// Kind
        #[arg(long)]
        kind: Option<String>,
        /// Namespace
        #[arg(short, long)]
        namespace: Option<String>,
        /// Label, key=value
        #[arg(short, long)]
        label: Option<String>,
        /// Only those that are not well
        #[arg(long)]
        unhealthy: bool,
        /// Most rows
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Show a resource with its surroundings
    Show {
        /// The resource's uid, or kind/name
        #[arg(add = crate::complete::resources())]
        uid: String,
        /// How far to look, in edges
        #[arg(long, default_value_t = 1)]
        depth: usize,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List {
            kind,
            namespace,
            label,
            unhealthy,
            limit,
        } => {
            let fields = [
                ("kind", kind),
                ("namespace", namespace),
                ("label", label),
                ("healthy", unhealthy.then(|| "false".into())),
            ];
            let mut query: Vec<(&str, String)> = fields
                .into_iter()
                .filter_map(|(k, v)| Some((k, v?)))
                .collect();
            query.push(("limit", limit.to_string()));
            let page: Page<ResourceView> =
                env.client()?.get(As::Tenant, "/api/v1/resources", &query)?;
            env.out.value(&page, || {
                let cells = |r: &ResourceView| {
                    [
                        r.resource.uid.clone().unwrap_or_default(),
                        r.resource.kind.clone(),
                        r.resource.namespace.clone(),
                        r.resource.name.clone(),
                        r.component.clone(),
                        health(r),
                    ]
                };
                Table::new(&["UID", "KIND", "NAMESPACE", "NAME", "COMPONENT", "HEALTH"])
                    .rows(&page.items, cells)
            })
        }
        Verb::Show { uid, depth } => {
            let client = env.client()?;
            let uid = if let Some((kind, name)) = uid.split_once('/') {
                named(&client, kind, name)?
            } else {
                uid
            };
            let topology: Topology = client.get(
                As::Tenant,
                &format!("/api/v1/graph/topology/{uid}"),
                &[("depth", depth.to_string())],
            )?;
            env.out.value(&topology, || {
                let name = |r: &kgrca_core::rca::ResourceRef| format!("{}/{}", r.kind, r.name);
                Table::new(&["FROM", "EDGE", "TO", "SINCE"]).rows(&topology.edges, |e| {
                    [
                        name(&e.from),
                        e.relation.clone(),
                        name(&e.to),
                        e.valid_from.to_string(),
                    ]
                })
            })
        }
    }
}

/// The uid of the one resource of a kind and name.
fn named(client: &Client, kind: &str, name: &str) -> Result<String> {
    let query = [("kind", kind.to_owned()), ("name", name.to_owned())];
    let page: Page<ResourceView> = client.get(As::Tenant, "/api/v1/resources", &query)?;
    match page
        .items
        .iter()
        .filter_map(|r| r.resource.uid.clone())
        .collect::<Vec<_>>()
        .as_slice()
    {
        [only] => Ok(only.clone()),
        [] => Err(
            CliError::new(exit::NOT_FOUND, format!("there is no {kind} `{name}`"))
                .hint("kgrca resource list"),
        ),
        several => Err(
            CliError::usage(format!("there are {} of {kind} `{name}`", several.len()))
                .hint("choose one by its uid"),
        ),
    }
}

fn health(r: &ResourceView) -> String {
    match r.healthy {
        Some(true) => "well",
        Some(false) => "unwell",
        None => "unknown",
    }
    .into()
}
