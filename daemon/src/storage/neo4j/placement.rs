//! Placement: which server holds which tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::storage::{Error, ErrorKind, MetaStore, Result};
use kgrca_core::tenancy::TenantId;
use neo4rs::{ConfigBuilder, Graph, query};

use super::{failed, persistent, rows, write};
use crate::telemetry;

/// Maximum number of connections to one server.
const CONNECTIONS: usize = 8;

/// Properties with an index.
const SCHEMA: [&str; 8] = [
    "CREATE CONSTRAINT kgrca_resource IF NOT EXISTS FOR (n:Resource) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT kgrca_episode IF NOT EXISTS FOR (n:Episodic) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT kgrca_incident IF NOT EXISTS FOR (n:Incident) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT kgrca_fence IF NOT EXISTS FOR (n:Fence) REQUIRE n.partition IS UNIQUE",
    "CREATE INDEX kgrca_uid IF NOT EXISTS FOR (n:Resource) ON (n.uid)",
    "CREATE INDEX kgrca_deleted IF NOT EXISTS FOR (n:Resource) ON (n.deleted)",
    "CREATE INDEX kgrca_last IF NOT EXISTS FOR (n:Episodic) ON (n.last)",
    "CREATE INDEX kgrca_ended IF NOT EXISTS FOR (n:Incident) ON (n.ended)",
];

/// A server of the URL.
#[derive(Clone)]
pub struct Server {
    /// `host:port`, under which tenants are assigned to it.
    pub name: String,
    uri: String,
    user: String,
    password: String,
}

/// All servers, and the tenants they hold.
pub(super) struct Placement {
    servers: Vec<Server>,
    meta: Arc<dyn MetaStore>,
    /// Connections by server and database; `None` is the default database.
    open: Mutex<HashMap<(String, Option<String>), Graph>>,
    /// Whether a server supports several databases, once known.
    several: Mutex<HashMap<String, bool>>,
}

fn parse(url: &str) -> Result<Vec<Server>> {
    let wrong = |what: &str| {
        Error::new(
            ErrorKind::Internal,
            format!("graph: invalid Neo4j URL: {what}"),
        )
        .hint("expected neo4j://user:password@host:7687[,host:7687…], or neo4j+s:// for TLS")
    };
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| wrong("it has no scheme"))?;
    let bolt = match scheme {
        "neo4j" => "bolt",
        "neo4j+s" => "bolt+s",
        "neo4j+ssc" => "bolt+ssc",
        _ => return Err(wrong("the scheme is not neo4j")),
    };
    let (user, hosts) = rest
        .rsplit_once('@')
        .ok_or_else(|| wrong("it has no user"))?;
    let (user, password) = user
        .split_once(':')
        .ok_or_else(|| wrong("the user has no password"))?;
    let server = |host: &str| Server {
        name: host.to_owned(),
        uri: format!("{bolt}://{host}"),
        user: user.to_owned(),
        password: password.to_owned(),
    };
    let servers: Vec<Server> = hosts
        .trim_end_matches('/')
        .split(',')
        .filter(|h| !h.is_empty())
        .map(server)
        .collect();
    if servers.is_empty() {
        Err(wrong("it has no host"))
    } else {
        Ok(servers)
    }
}

impl Placement {
    pub async fn open(url: &str, meta: Arc<dyn MetaStore>) -> Result<Self> {
        let placement = Self {
            servers: parse(url)?,
            meta,
            open: Mutex::default(),
            several: Mutex::default(),
        };
        placement.check().await?;
        for server in &placement.servers {
            placement.check_memory_limit(server).await?;
        }
        Ok(placement)
    }

    /// Warns about a server without a memory limit for queries.
    async fn check_memory_limit(&self, server: &Server) -> Result<()> {
        let graph = self.connection(server, None)?;
        let setting = || query("SHOW SETTINGS 'db.memory.transaction.max' YIELD value");
        // Not every user may read settings.
        let Ok(found) = rows(&graph, setting).await else {
            return Ok(());
        };
        let value = found.first().and_then(|r| r.get::<String>("value").ok());
        if value.is_some_and(|v| v.starts_with("0B") || v == "0") {
            telemetry::MemoryUnlimited {
                server: &server.name,
            }
            .emit();
        }
        Ok(())
    }

    /// Names and versions of all servers. Fails when one does not answer.
    pub async fn check(&self) -> Result<String> {
        let mut versions = Vec::new();
        for server in &self.servers {
            let (version, several) = self.version(server).await.map_err(|mut e| {
                e.message = format!("{} ({})", e.message, server.name);
                e
            })?;
            let kind = if several {
                "several databases"
            } else {
                "one database"
            };
            versions.push(format!("{} {version}, {kind}", server.name));
        }
        Ok(format!("Neo4j: {}", versions.join("; ")))
    }

    async fn version(&self, server: &Server) -> Result<(String, bool)> {
        let graph = self.connection(server, None)?;
        let question = || {
            query(
                "CALL dbms.components() YIELD versions, edition RETURN versions[0] AS version,
                    edition",
            )
        };
        let answer = rows(&graph, question).await?;
        let text = |name: &str| {
            answer
                .first()
                .and_then(|r| r.get::<String>(name).ok())
                .unwrap_or_default()
        };
        let several = text("edition") != "community";
        self.several
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(server.name.clone(), several);
        Ok((text("version"), several))
    }

    fn connection(&self, server: &Server, database: Option<&str>) -> Result<Graph> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (server.name.clone(), database.map(str::to_owned));
        if let Some(graph) = open.get(&key) {
            return Ok(graph.clone());
        }
        let config = ConfigBuilder::default()
            .uri(&server.uri)
            .user(&server.user)
            .password(&server.password)
            .max_connections(CONNECTIONS)
            .connection_timeout(Duration::from_secs(5))
            .fetch_size(1000);
        let config = match database {
            Some(name) => config.db(name),
            None => config,
        };
        let graph =
            Graph::connect(config.build().map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
        open.insert(key, graph.clone());
        Ok(graph)
    }

    fn server(&self, name: &str) -> Result<&Server> {
        self.servers.iter().find(|s| s.name == name).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("graph: the tenant is on server {name}, which is not in the URL"),
            )
            .hint("add it to the URL of the graph, or move the tenant to another server")
        })
    }

    /// The database of a tenant; `None` when it is on no server.
    pub async fn of(&self, tenant: &TenantId) -> Result<Option<Graph>> {
        let Some(name) = self.meta.graph_server(tenant).await? else {
            return Ok(None);
        };
        self.database(tenant, self.server(&name)?).await.map(Some)
    }

    /// The database of a tenant.
    ///
    /// # Errors
    /// When it is on no server.
    pub async fn needed(&self, tenant: &TenantId) -> Result<Graph> {
        let missing = || {
            Error::new(
                ErrorKind::Internal,
                format!("graph: {tenant} is not assigned to a server"),
            )
            .hint("check its provisioning with `kgrca saga list`")
        };
        self.of(tenant).await?.ok_or_else(missing)
    }

    /// The server that holds a tenant.
    pub async fn name_of(&self, tenant: &TenantId) -> Result<Option<String>> {
        self.meta.graph_server(tenant).await
    }

    /// The database of a tenant on a server, whichever holds it.
    pub async fn on(&self, tenant: &TenantId, server: &str) -> Result<Graph> {
        self.database(tenant, self.server(server)?).await
    }

    /// Fails unless another tenant can be assigned to a server.
    pub async fn is_free(&self, name: &str) -> Result<()> {
        let servers = || {
            self.servers
                .iter()
                .map(|s| s.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let Some(server) = self.servers.iter().find(|s| s.name == name) else {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("graph: server {name} is not in the URL"),
            )
            .hint(servers()));
        };
        let held = self
            .meta
            .graph_servers()
            .await?
            .into_iter()
            .find(|(_, at)| at == name);
        match held {
            Some((other, _)) if !self.has_several(server).await? => {
                let message = format!("graph: {name} has a single database, which holds {other}");
                Err(Error::new(ErrorKind::Conflict, message)
                    .hint("`kgrca tenant list -o json` shows the server of each tenant"))
            }
            _ => Ok(()),
        }
    }

    /// Assigns a tenant to a server.
    pub async fn assign(&self, tenant: &TenantId, server: &str) -> Result<()> {
        let alone = !self.has_several(self.server(server)?).await?;
        self.meta
            .put_graph_server(tenant, Some(server), alone)
            .await
    }

    /// Creates database, indexes and owner of a tenant on a server.
    pub async fn prepare_at(&self, tenant: &TenantId, server: &str) -> Result<()> {
        self.prepare(tenant, self.server(server)?).await
    }

    async fn database(&self, tenant: &TenantId, server: &Server) -> Result<Graph> {
        let name = self
            .has_several(server)
            .await?
            .then(|| format!("{tenant}-kg"));
        self.connection(server, name.as_deref())
    }

    async fn has_several(&self, server: &Server) -> Result<bool> {
        let known = self
            .several
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&server.name)
            .copied();
        match known {
            Some(several) => Ok(several),
            None => Ok(self.version(server).await?.1),
        }
    }

    /// Chooses a server for a tenant and creates its database there.
    pub async fn create(&self, tenant: &TenantId) -> Result<()> {
        match self.meta.graph_server(tenant).await? {
            Some(name) => self.prepare(tenant, self.server(&name)?).await,
            None => self.settle(tenant).await,
        }
    }

    /// Assigns a tenant to the server with the fewest tenants, or to a free one where each holds
    /// one.
    async fn settle(&self, tenant: &TenantId) -> Result<()> {
        let taken = self.meta.graph_servers().await?;
        let held = |server: &Server| {
            taken
                .iter()
                .filter(|(_, name)| *name == server.name)
                .count()
        };
        let mut servers: Vec<&Server> = self.servers.iter().collect();
        servers.sort_by_key(|s| held(s));
        let mut occupied = String::new();
        for server in servers {
            let several = self.has_several(server).await?;
            if !several && held(server) > 0 {
                continue;
            }
            match self
                .meta
                .put_graph_server(tenant, Some(&server.name), !several)
                .await
            {
                Ok(()) => {}
                // Another daemon assigned a tenant to it at the same time.
                Err(e) if e.kind == ErrorKind::Conflict => continue,
                Err(e) => return Err(e),
            }
            match self.prepare(tenant, server).await {
                // It holds foreign data, or a graph is being moved to it.
                Err(e) if e.kind == ErrorKind::Conflict => {
                    self.meta.put_graph_server(tenant, None, false).await?;
                    occupied = format!("; {}", e.message);
                }
                other => return other,
            }
        }
        let message = format!(
            "graph: none of {} servers is free for another tenant{occupied}",
            self.servers.len()
        );
        Err(Error::new(ErrorKind::Full, message).hint("add a server to the URL of the graph"))
    }

    async fn prepare(&self, tenant: &TenantId, server: &Server) -> Result<()> {
        if self.has_several(server).await? {
            let system = self.connection(server, Some("system"))?;
            // Tenant ids need no quoting.
            let text = format!("CREATE DATABASE `{tenant}-kg` IF NOT EXISTS WAIT 30 SECONDS");
            persistent(|| async {
                system
                    .run(query(&text))
                    .await
                    .map(|_| ())
                    .map_err(|e| failed(&e))
            })
            .await?;
        }
        let graph = self.database(tenant, server).await?;
        write::own(&graph, tenant, &server.name).await?;
        for statement in SCHEMA {
            persistent(|| async {
                graph
                    .run(query(statement))
                    .await
                    .map(|_| ())
                    .map_err(|e| failed(&e))
            })
            .await?;
        }
        Ok(())
    }

    /// Removes a tenant's graph and its assignment.
    pub async fn remove(&self, tenant: &TenantId) -> Result<()> {
        let Some(name) = self.meta.graph_server(tenant).await? else {
            return Ok(());
        };
        self.clear(tenant, &name).await?;
        self.meta.put_graph_server(tenant, None, false).await
    }

    /// Removes a tenant's graph from a server.
    pub async fn clear(&self, tenant: &TenantId, server: &str) -> Result<()> {
        let server = self.server(server)?;
        if !self.has_several(server).await? {
            return write::clear(&self.database(tenant, server).await?, tenant).await;
        }
        let system = self.connection(server, Some("system"))?;
        let text = format!("DROP DATABASE `{tenant}-kg` IF EXISTS DESTROY DATA WAIT 30 SECONDS");
        persistent(|| async {
            system
                .run(query(&text))
                .await
                .map(|_| ())
                .map_err(|e| failed(&e))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_url_names_servers() {
        let servers = super::parse("neo4j://u:p@a:7687,b:7688").unwrap();
        assert_eq!(
            servers.iter().map(|s| s.uri.as_str()).collect::<Vec<_>>(),
            ["bolt://a:7687", "bolt://b:7688"]
        );
        for wrong in [
            "bolt://u:p@a",
            "neo4j://a:1",
            "neo4j://u@a:1",
            "neo4j://u:p@",
        ] {
            assert!(super::parse(wrong).is_err(), "{wrong}");
        }
    }
}
