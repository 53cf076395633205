//! The commands: a file each, with one documented `Args` and one function.

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
mod generate;
mod incident;
mod key;
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

/// Finds root causes of Kubernetes incidents.
#[derive(Debug, Parser)]
#[command(
    name = "kgrca",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options of every command
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what caused an incident
    Rca(rca::Args),
    /// List, follow and handle incidents
    #[command(subcommand)]
    Incident(incident::Verb),
    /// Look at resources of the graph
    #[command(subcommand)]
    Resource(resource::Verb),
    /// Ask the tenant's graph in Cypher
    Query(query::Args),
    /// Show what the tenant has sent and what became of it
    Stats(stats::Args),
    /// Find causes in files or standard input, without a server
    Analyze(analyze::Args),
    /// Measure the engine on labelled cases
    #[command(subcommand)]
    Eval(eval::Verb),
    /// Run a saved incident through this engine, against its stored answer
    Replay(replay::Args),
    /// Look at the catalogue of faults
    #[command(subcommand)]
    Fault(fault::Verb),
    /// Manage tenants (operator)
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Manage API keys of a tenant, or the operator's own (operator)
    #[command(subcommand)]
    Key(key::Verb),
    /// Look at how tenants are set up and taken down (operator)
    #[command(subcommand)]
    Saga(saga::Verb),
    /// Look at what was done, and check that nothing of it was changed (operator)
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Plans, usage and invoices (operator)
    #[command(subcommand)]
    Billing(billing::Verb),
    /// Install agents in clusters, and see how they fare
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Look at the tenant's clusters
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Look at rejected records
    #[command(subcommand)]
    Dlq(dlq::Verb),
    /// Choose the server and keys to work with
    #[command(subcommand)]
    Context(context::Verb),
    /// Show settings and where they come from
    #[command(subcommand)]
    Config(context::ConfigVerb),
    /// Run a server here, on embedded stores
    Up(up::Args),
    /// Show a recorded incident explained, and leave nothing behind
    Demo(demo::Args),
    /// Check that everything works
    Doctor(doctor::Args),
    /// Print a completion script
    Completions(generate::CompletionArgs),
    /// Print the manual page, or write all of them into a folder
    Man(generate::ManArgs),
    /// Print the version
    Version(version::Args),
}

/// A command with what it needs.
pub(crate) struct Env<'a> {
    /// Where to print.
    pub(crate) out: &'a Output,
    context: Option<String>,
}

impl Env<'_> {
    /// The context in force.
    pub(crate) fn context(&self) -> Result<contexts::Context> {
        contexts::resolve(self.context.as_deref())
    }

    /// A client for the context in force.
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
