//! The commands as people look for them: in groups, by other names, and with the topics of
//! `kgrca help`.

use clap::{Command, CommandFactory};

use super::Cli;

/// The groups of the help, in its order.
const GROUPS: [(&str, &[&str]); 7] = [
    (
        "Find causes",
        &[
            "status",
            "analyze",
            "rca",
            "changes",
            "change",
            "diff",
            "incident",
            "resource",
            "query",
            "stats",
            "fault",
            "explain-class",
        ],
    ),
    ("Notifications", &["notify", "silence"]),
    ("Clusters", &["agent", "cluster", "dlq"]),
    (
        "Tenants",
        &[
            "tenant",
            "key",
            "billing",
            "saga",
            "job",
            "audit",
            "encryption",
        ],
    ),
    ("Local server", &["up", "down", "logs", "demo"]),
    ("Engine", &["eval", "replay"]),
    (
        "Settings",
        &[
            "context",
            "config",
            "doctor",
            "completions",
            "man",
            "version",
            "help",
        ],
    ),
];

/// Nouns and their plurals.
const PLURALS: [(&str, &str); 11] = [
    ("incident", "incidents"),
    ("resource", "resources"),
    ("fault", "faults"),
    ("tenant", "tenants"),
    ("key", "keys"),
    ("saga", "sagas"),
    ("job", "jobs"),
    ("agent", "agents"),
    ("cluster", "clusters"),
    ("context", "contexts"),
    ("silence", "silences"),
];

/// Verbs that other command lines call differently.
const VERBS: [(&str, &str); 2] = [("list", "ls"), ("show", "get")];

const ENVIRONMENT: &str = "\
Environment variables that kgrca reads

  KGRCA_URL           URL of the server, instead of a context; needs KGRCA_API_KEY or
                      KGRCA_OPERATOR_KEY
  KGRCA_API_KEY       API key of the tenant, instead of the context's
  KGRCA_OPERATOR_KEY  key of the operator, instead of the context's
  KGRCA_CA_FILE       certificates (PEM) of authorities to trust in addition to the system's
  KGRCA_CLIENT_CERT   certificate (PEM) for a server that asks for one (--tls-client-ca); needs
                      KGRCA_CLIENT_KEY
  KGRCA_CLIENT_KEY    its private key (PEM)
  KGRCA_KAFKA_URL     brokers that installed agents write to, as --kafka
  KUBECONFIG          clusters that `kgrca agent` uses, as for kubectl
  XDG_CONFIG_HOME     directory of contexts [default: ~/.config]
  XDG_DATA_HOME       directory of the local server's data [default: ~/.local/share]
  TZ                  time zone in which times are shown
  NO_COLOR            no colors if set and not empty; TERM=dumb does the same
  HTTPS_PROXY         proxy for HTTPS; HTTP_PROXY, ALL_PROXY and NO_PROXY work as usual

kgrcad reads its options from variables such as KGRCA_LISTEN: see `kgrcad --help`.";

const EXIT_CODES: &str = "\
Exit codes of kgrca

  0    done; also when the reader of a pipe has closed it
  1    failed
  2    invalid command line, or a question that was not answered with yes
  3    not found
  4    not authenticated, or not allowed
  5    a limit or quota is used up
  6    server unreachable, or timed out
  10   a check found something, as with `analyze --fail-on` or `eval run --baseline`
  130  interrupted";

/// The full command definition.
pub fn command() -> Command {
    let mut command = Cli::command();
    for (noun, plural) in PLURALS {
        command = command.mut_subcommand(noun, |sub| verbs(sub).alias(plural));
    }
    let topic = |name: &'static str, text: &'static str| {
        Command::new(name)
            .about(text)
            .hide(true)
            .help_template("{about}\n")
            .disable_help_flag(true)
            .disable_version_flag(true)
            .subcommand_required(true)
            .arg_required_else_help(true)
    };
    command = command
        .subcommand(topic("environment", ENVIRONMENT))
        .subcommand(topic("exit-codes", EXIT_CODES));
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}\n\n\
         See also: kgrca help environment, kgrca help exit-codes",
        groups(&command)
    );
    command.help_template(template)
}

/// A noun whose verbs answer to their other names.
fn verbs(mut noun: Command) -> Command {
    for (verb, alias) in VERBS {
        if noun.find_subcommand(verb).is_some() {
            noun = noun.mut_subcommand(verb, |sub| sub.visible_alias(alias));
        }
    }
    noun
}

/// The commands with what they do, by group.
fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        text += &format!("{title}:\n");
        for name in names {
            let found = command.find_subcommand(name);
            let about = found.and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_else(help);
            text += &format!("  {name:<14} {about}\n");
        }
        text.push('\n');
    }
    text
}

/// What clap adds when the command is built.
fn help() -> String {
    "Show the help of a command".to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let listed: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let once: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(listed.len(), once.len());
        let built = command();
        let visible = built.get_subcommands().filter(|sub| !sub.is_hide_set());
        let mut all: BTreeSet<&str> = visible.map(Command::get_name).collect();
        all.insert("help");
        assert_eq!(once, all);
    }

    #[test]
    fn other_names_lead_to_the_same_command() {
        let parse = |line: &str| {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            let (noun, rest) = matches.subcommand().unwrap();
            format!("{noun} {}", rest.subcommand_name().unwrap_or_default())
        };
        assert_eq!(parse("kgrca incidents ls"), "incident list");
        assert_eq!(parse("kgrca tenants get client-a-000000"), "tenant show");
        assert_eq!(parse("kgrca clusters ls"), "cluster list");
    }

    #[test]
    fn exit_codes_are_those_of_errors() {
        use crate::error::Kind;

        let all = [
            Kind::Failed,
            Kind::Usage,
            Kind::NotFound,
            Kind::NotAllowed,
            Kind::Limit,
            Kind::Unreachable,
            Kind::Found,
        ];
        for kind in all {
            let code = kind.exit_code();
            assert!(EXIT_CODES.contains(&format!("\n  {code} ")), "{code}");
        }
    }

    #[test]
    fn variables_are_those_of_the_code() {
        for name in [
            "KGRCA_URL",
            "KGRCA_API_KEY",
            "KGRCA_OPERATOR_KEY",
            "KGRCA_CA_FILE",
            "KGRCA_CLIENT_CERT",
            "KGRCA_CLIENT_KEY",
        ] {
            assert!(ENVIRONMENT.contains(name), "{name}");
        }
    }
}
