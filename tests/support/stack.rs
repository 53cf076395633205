//! All servers with daemons on them, as an operator runs them.

use std::path::Path;

use crate::Server;
use crate::services::Service;

/// The operator's key of every daemon.
pub const OPERATOR: &str = "kg_operator_0123456789abcdefghijklmnopqrstuv";

/// A server of each kind, for one test alone.
pub struct Stack {
    /// Metadata.
    pub postgres: Service,
    /// Log.
    pub kafka: Service,
    /// Graph.
    pub neo4j: Service,
    /// Limits.
    pub redis: Service,
}

/// The door of a server, and variables of its environment.
type Wish<'a> = (Option<u16>, &'a [(&'a str, &'a str)]);

impl Stack {
    /// Starts all four, and runs the migrations.
    pub fn start() -> Self {
        Self::behind([None; 4])
    }

    /// Starts PostgreSQL, Kafka, Neo4j and Redis behind these doors, and runs the migrations.
    pub fn behind(doors: [Option<u16>; 4]) -> Self {
        Self::of(doors.map(|door| (door, &[][..])))
    }

    /// Starts PostgreSQL, Kafka, Neo4j and Redis with these variables of the environment, and runs
    /// the migrations.
    pub fn with(environments: [&[(&str, &str)]; 4]) -> Self {
        Self::of(environments.map(|environment| (None, environment)))
    }

    fn of(wishes: [Wish<'_>; 4]) -> Self {
        let names = ["postgres", "kafka", "neo4j", "redis"];
        let started: Vec<Service> = std::thread::scope(|scope| {
            let start = |(name, (door, environment))| {
                scope.spawn(move || Service::with(name, door, environment))
            };
            let started: Vec<_> = names.into_iter().zip(wishes).map(start).collect();
            started.into_iter().map(|s| s.join().unwrap()).collect()
        });
        let Ok([postgres, kafka, neo4j, redis]) = <[Service; 4]>::try_from(started) else {
            unreachable!()
        };
        let direct = postgres.url().replace(
            &format!(":{}/", postgres.door),
            &format!(":{}/", postgres.port),
        );
        let migrated = std::process::Command::new(crate::binary("kgrcad"))
            .arg("migrate")
            .env("KGRCA_META_URL", direct)
            .output()
            .unwrap();
        assert!(
            migrated.status.success(),
            "{}",
            String::from_utf8_lossy(&migrated.stderr)
        );
        Self {
            postgres,
            kafka,
            neo4j,
            redis,
        }
    }

    /// One of them by its name.
    pub fn service(&self, name: &str) -> &Service {
        match name {
            "postgres" => &self.postgres,
            "kafka" => &self.kafka,
            "neo4j" => &self.neo4j,
            _ => &self.redis,
        }
    }

    /// A daemon on these servers.
    pub fn daemon(&self, folder: &Path) -> Server {
        self.daemon_with(folder, &[])
    }

    /// A daemon that listens at an address of before.
    pub fn daemon_at(&self, folder: &Path, address: &str) -> Server {
        self.run(folder, &["--listen", address], &[])
    }

    /// The same with more variables of the environment.
    pub fn daemon_with(&self, folder: &Path, more: &[(&str, &str)]) -> Server {
        self.run(folder, &[], more)
    }

    fn run(&self, folder: &Path, options: &[&str], more: &[(&str, &str)]) -> Server {
        std::fs::create_dir_all(folder).unwrap();
        let urls = [
            self.postgres.url(),
            self.neo4j.url(),
            self.kafka.url(),
            self.redis.url(),
        ];
        let names = [
            "KGRCA_META_URL",
            "KGRCA_GRAPH_URL",
            "KGRCA_LOG_URL",
            "KGRCA_LIMITS_URL",
        ];
        let mut environment: Vec<(&str, &str)> = names
            .into_iter()
            .zip(urls.iter().map(String::as_str))
            .collect();
        environment.push(("KGRCA_OPERATOR_KEY", OPERATOR));
        environment.extend(more);
        let options = [&["--tick-seconds", "2"], options].concat();
        Server::start_with(folder, &options, &environment)
    }
}
