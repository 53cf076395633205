//! What may be read, and what is said of the rest.

use clap::Parser;
use kgrca_core::analyze::Options;
use kgrca_core::rca::MissingEvidence;

use super::super::fake::{Answer, Fake, page, status};
use super::super::session::Session;
use crate::commands::Env;
use crate::commands::analyze;
use crate::error::{CliError, Kind};
use crate::output::{Global, Output};

fn ok(body: String) -> Answer {
    (200, "", body)
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: analyze::Args,
}

/// What reading a server leads to: what is missing, or the error.
async fn read(fake: &Fake, arguments: &[&str]) -> Result<Vec<MissingEvidence>, CliError> {
    // Fails only when another test has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = fake.kubeconfig();
    let path = file.path().to_str().unwrap();
    let line = [&["x", "--kubeconfig", path], arguments].concat();
    let args = Line::parse_from(line).args;
    let out = Output::new(&Global {
        quiet: true,
        ..Global::default()
    });
    let env = Env {
        out: &out,
        context: None,
    };
    let options = Options {
        namespace: args.namespace.clone(),
        ..Options::default()
    };
    let mut session = Session::open(&env, &args, options).await?;
    session.read().await?;
    Ok(session.answer().await?.missing_evidence)
}

/// A server that lets a user read one namespace only, and no Secrets.
fn of_one_namespace(path: &str) -> Answer {
    let is_allowed = path.contains("/namespaces/shop/") && !path.contains("/secrets");
    match path {
        "/version" => ok("{}".to_owned()),
        _ if is_allowed => ok(page(&[], "9", "")),
        _ => (403, "", status(403, "forbidden")),
    }
}

fn commands(missing: &[MissingEvidence]) -> Vec<&str> {
    missing.iter().map(|m| &*m.command).collect()
}

#[tokio::test]
async fn what_may_not_be_listed_is_named_and_the_namespace_of_the_context_is_read() {
    let fake = Fake::start(of_one_namespace);
    let missing = read(&fake, &[]).await.unwrap();
    let commands = commands(&missing);
    for command in [
        "kubectl auth can-i list nodes",
        "kubectl auth can-i list secrets -n shop",
        "kubectl auth can-i list pods -A",
    ] {
        assert!(commands.contains(&command), "{command}: {missing:#?}");
    }
    let requests = fake.requests();
    assert!(
        requests
            .iter()
            .any(|r| r.starts_with("/api/v1/namespaces/shop/pods?"))
    );
}

#[tokio::test]
async fn all_namespaces_are_never_narrowed_and_one_is_never_left() {
    let fake = Fake::start(of_one_namespace);
    let error = read(&fake, &["-A"]).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotAllowed, "{error:?}");
    let fake = Fake::start(of_one_namespace);
    let missing = read(&fake, &["-n", "shop", "--context", "test"])
        .await
        .unwrap();
    let commands = commands(&missing);
    assert!(commands.contains(&"kubectl --context test auth can-i list secrets -n shop"));
    let others = ["kube-node-lease", "kube-system", "default", "shop"];
    let is_expected = |r: &String| {
        let namespace = r.split_once("/namespaces/").map(|(_, rest)| rest);
        let namespace = namespace.and_then(|rest| rest.split_once('/'));
        namespace
            .map(|(name, _)| others.contains(&name))
            .unwrap_or(true)
    };
    assert!(
        fake.requests().iter().all(is_expected),
        "{:?}",
        fake.requests()
    );
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_what_to_do() {
    let expired = Fake::start(|_| (401, "", status(401, "Unauthorized")));
    let error = read(&expired, &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotAllowed);
    assert!(
        error
            .hint
            .unwrap()
            .contains("kubectl --context test auth whoami")
    );
    let error = read(&expired, &["--context", "other"]).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert_eq!(error.hint.unwrap(), "its contexts: test");
    let error = read(&expired, &["-n", "../secrets"]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert_eq!(expired.requests().len(), 1, "the others sent nothing");
}
