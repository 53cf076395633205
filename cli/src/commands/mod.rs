//! The commands: a file for each noun, with its arguments and a function that runs it.

mod agent;
mod analyze;
mod audit;
mod billing;
mod change;
mod changes;
mod cluster;
mod context;
mod demo;
mod dlq;
mod doctor;
mod encryption;
mod eval;
mod explain_class;
mod fault;
mod files;
mod generate;
mod incident;
mod job;
mod key;
mod local;
mod notify;
mod owner;
mod query;
mod rca;
mod replay;
mod resource;
mod saga;
mod silence;
mod sources;
mod stats;
mod status;
mod tenant;
mod tree;
mod up;
mod version;

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::context as contexts;
use crate::error::Result;
use crate::output::{Global, Output};

pub use tree::command;

/// Find root causes of Kubernetes incidents
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
    Status(status::Args),
    Rca(rca::Args),
    #[command(subcommand)]
    Incident(incident::Verb),
    #[command(subcommand)]
    Notify(notify::Verb),
    #[command(subcommand)]
    Silence(silence::Verb),
    #[command(subcommand)]
    Resource(resource::Verb),
    Changes(changes::Args),
    #[command(subcommand)]
    Change(change::Verb),
    Diff(changes::DiffArgs),
    Query(query::Args),
    Stats(stats::Args),
    Analyze(analyze::Args),
    #[command(subcommand)]
    Eval(eval::Verb),
    Replay(replay::Args),
    #[command(subcommand)]
    Fault(fault::Verb),
    ExplainClass(explain_class::Args),
    #[command(subcommand)]
    Tenant(tenant::Verb),
    #[command(subcommand)]
    Key(key::Verb),
    #[command(subcommand)]
    Saga(saga::Verb),
    #[command(subcommand)]
    Job(job::Verb),
    #[command(subcommand)]
    Audit(audit::Verb),
    #[command(subcommand)]
    Encryption(encryption::Verb),
    #[command(subcommand)]
    Billing(billing::Verb),
    #[command(subcommand)]
    Agent(agent::Verb),
    #[command(subcommand)]
    Cluster(cluster::Verb),
    #[command(subcommand)]
    Dlq(dlq::Verb),
    #[command(subcommand)]
    Context(context::Verb),
    #[command(subcommand)]
    Config(context::ConfigVerb),
    Up(up::Args),
    Down(local::DownArgs),
    Logs(local::LogArgs),
    Demo(demo::Args),
    Doctor(doctor::Args),
    Completions(generate::CompletionArgs),
    Man(generate::ManArgs),
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
        Command::Status(args) => status::run(&env, &args),
        Command::Rca(args) => rca::run(&env, args),
        Command::Incident(verb) => incident::run(&env, verb),
        Command::Notify(verb) => notify::run(&env, verb),
        Command::Silence(verb) => silence::run(&env, verb),
        Command::Resource(verb) => resource::run(&env, verb),
        Command::Changes(args) => changes::list(&env, &args),
        Command::Change(verb) => change::run(&env, verb),
        Command::Diff(args) => changes::diff(&env, &args),
        Command::Query(args) => query::run(&env, args),
        Command::Stats(args) => stats::run(&env, args),
        Command::Analyze(args) => analyze::run(&env, &args),
        Command::Eval(verb) => eval::run(&env, verb),
        Command::Replay(args) => replay::run(&env, &args),
        Command::Fault(verb) => fault::run(&env, verb),
        Command::ExplainClass(args) => explain_class::run(&env, &args),
        Command::Tenant(verb) => tenant::run(&env, verb),
        Command::Key(verb) => key::run(&env, verb),
        Command::Saga(verb) => saga::run(&env, verb),
        Command::Job(verb) => job::run(&env, verb),
        Command::Audit(verb) => audit::run(&env, verb),
        Command::Encryption(verb) => encryption::run(&env, verb),
        Command::Billing(verb) => billing::run(&env, verb),
        Command::Agent(verb) => agent::run(&env, verb),
        Command::Cluster(verb) => cluster::run(&env, verb),
        Command::Dlq(verb) => dlq::run(&env, verb),
        Command::Context(verb) => context::run(&env, verb),
        Command::Config(verb) => context::config(&env, verb),
        Command::Up(args) => up::run(&env, &args),
        Command::Down(args) => local::down(&env, &args),
        Command::Logs(args) => local::logs(&env, &args),
        Command::Demo(args) => demo::run(&env, args),
        Command::Doctor(args) => doctor::run(&env, args),
        Command::Completions(args) => generate::completions(&env, &args),
        Command::Man(args) => generate::man(&env, &args),
        Command::Version(args) => version::run(&env, args),
    }
}
