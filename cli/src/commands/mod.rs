//! The commands: a file for each noun, with its arguments and a function that runs it.

mod agent;
mod analyze;
mod audit;
mod billing;
mod cluster;
mod context;
mod demo;
mod dlq;
mod doctor;
mod eval;
mod fault;
mod files;
mod generate;
mod incident;
mod key;
mod owner;
mod query;
mod rca;
mod replay;
mod resource;
mod saga;
mod stats;
mod tenant;
mod up;
mod version;

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::context as contexts;
use crate::error::Result;
use crate::output::{Global, Output};

/// Find root causes of Kubernetes incidents.
#[derive(Debug, Parser)]
#[command(
    name = "kgrca",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options that every command takes
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the root causes of an incident
    Rca(rca::Args),
    /// List, watch and handle incidents
    #[command(subcommand)]
    Incident(incident::Verb),
    /// List and show resources in the graph
    #[command(subcommand)]
    Resource(resource::Verb),
    /// Run a read-only Cypher query
    Query(query::Args),
    /// Show ingestion statistics
    Stats(stats::Args),
    /// Analyze files or stdin offline
    Analyze(analyze::Args),
    /// Evaluate accuracy on labelled scenarios
    #[command(subcommand)]
    Eval(eval::Verb),
    /// Re-run a saved incident and compare with its stored answer
    Replay(replay::Args),
    /// List and show the faults that kgrca can report
    #[command(subcommand)]
    Fault(fault::Verb),
    /// Manage tenants (operator)
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Manage API keys
    #[command(subcommand)]
    Key(key::Verb),
    /// Inspect tenant provisioning workflows (operator)
    #[command(subcommand)]
    Saga(saga::Verb),
    /// Show and verify the audit log
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Show plans, usage, limits and invoices
    #[command(subcommand)]
    Billing(billing::Verb),
    /// Install agents and check their status
    #[command(subcommand)]
    Agent(agent::Verb),
    /// List clusters and the status of their agents
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Inspect and retry rejected records (dead letters)
    #[command(subcommand)]
    Dlq(dlq::Verb),
    /// Select the server and API keys to use
    #[command(subcommand)]
    Context(context::Verb),
    /// Show effective configuration and its sources
    #[command(subcommand)]
    Config(context::ConfigVerb),
    /// Run a local server with embedded storage
    Up(up::Args),
    /// Run a self-contained demo; cleans up after itself
    Demo(demo::Args),
    /// Diagnose the connection, server and stores
    Doctor(doctor::Args),
    /// Print a shell completion script
    Completions(generate::CompletionArgs),
    /// Print the man page, or write all man pages to a directory
    Man(generate::ManArgs),
    /// Print the version
    Version(version::Args),
}

/// What every command needs.
pub(crate) struct Env<'a> {
    /// Prints results and messages.
    pub(crate) out: &'a Output,
    context: Option<String>,
}

impl Env<'_> {
    /// The context in effect.
    pub(crate) fn context(&self) -> Result<contexts::Context> {
        contexts::resolve(self.context.as_deref())
    }

    /// A client for the context in effect.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(self.context()?)
    }
}

/// Runs a parsed command line.
pub(crate) fn run(cli: Cli, out: &Output) -> Result {
    let env = Env {
        out,
        context: cli.global.context,
    };
    match cli.command {
        Command::Rca(args) => rca::run(&env, args),
        Command::Incident(verb) => incident::run(&env, verb),
        Command::Resource(verb) => resource::run(&env, verb),
        Command::Query(args) => query::run(&env, args),
        Command::Stats(args) => stats::run(&env, args),
        Command::Analyze(args) => analyze::run(&env, &args),
        Command::Eval(verb) => eval::run(&env, verb),
        Command::Replay(args) => replay::run(&env, &args),
        Command::Fault(verb) => fault::run(&env, verb),
        Command::Tenant(verb) => tenant::run(&env, verb),
        Command::Key(verb) => key::run(&env, verb),
        Command::Saga(verb) => saga::run(&env, verb),
        Command::Audit(verb) => audit::run(&env, verb),
        Command::Billing(verb) => billing::run(&env, verb),
        Command::Agent(verb) => agent::run(&env, verb),
        Command::Cluster(verb) => cluster::run(&env, verb),
        Command::Dlq(verb) => dlq::run(&env, verb),
        Command::Context(verb) => context::run(&env, verb),
        Command::Config(verb) => context::config(&env, verb),
        Command::Up(args) => up::run(&env, &args),
        Command::Demo(args) => demo::run(&env, args),
        Command::Doctor(args) => doctor::run(&env, args),
        Command::Completions(args) => generate::completions(&env, &args),
        Command::Man(args) => generate::man(&env, &args),
        Command::Version(args) => version::run(&env, args),
    }
}
