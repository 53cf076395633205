//! Every fix is a command that kubectl has: those of the catalogue, and those of all recorded
//! faults with what belongs to them, tried by kubectl on a real API server without their objects.

use std::collections::BTreeMap;
use std::process::Command;

use kgrca_core::detect::Catalogue;
use kgrca_tests::kube::Kube;
use kgrca_tests::{binary, repository};
use serde_json::Value;

/// What is put in where the reader has to.
fn value(name: &str) -> &str {
    match name {
        "kind" => "deployment",
        "secret-or-configmap" => "secret",
        "cpu" | "less" | "more" | "size" | "fewer" | "index" | "count" | "uid" | "gid" => "2",
        "seconds" | "port" | "value" => "80",
        "effect" => "NoSchedule",
        "key" | "role-label" => "k",
        "cni-label" => "app=cni",
        "base64" => "YQ==",
        "VARIABLE" | "POOL_SIZE" => "V",
        _ => "x",
    }
}

/// A command without placeholders.
fn complete(command: &str) -> String {
    let mut parts = command.split('<');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        match part.split_once('>') {
            Some((name, rest)) if !name.contains(' ') => text += &(value(name).to_owned() + rest),
            _ => text += &format!("<{part}"),
        }
    }
    text
}

/// What kubectl says against the commands of a line, other than that their objects are not there.
fn refused(kube: &Kube, line: &str) -> Option<String> {
    let words = shlex::split(&complete(line)).unwrap();
    let mut commands = words.split(|word| word == "&&");
    commands.find_map(|command| {
        let command = command.split(|word| word == ">").next().unwrap();
        let [first, rest @ ..] = command else {
            return Some("no command".to_owned());
        };
        // Editors and ssh take any words.
        if first != "kubectl" {
            return (!["vi", "ssh"].contains(&first.as_str())).then(|| first.clone());
        }
        let mut arguments: Vec<&str> = rest.iter().map(String::as_str).collect();
        // Nothing may wait for a terminal.
        arguments.retain(|word| *word != "-it");
        let output = kube.kubectl(&arguments, None);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let absent = [
            "NotFound",
            "not found",
            "no matching resources",
            "No resources found",
            "does not exist",
            "already exists",
            "no such file or directory",
            // No metrics server, and kinds that only a recording has.
            "Metrics API not available",
            "doesn't have a resource type",
            "no matches for kind",
        ];
        let is_fine = output.status.success() || absent.iter().any(|text| said.contains(text));
        (!is_fine).then(|| format!("{}: {said}", command.join(" ")))
    })
}

/// The commands of the causes of a recording.
fn commands(file: &std::path::Path) -> Vec<String> {
    let output = Command::new(binary("kgrca"))
        .args(["analyze", file.to_str().unwrap(), "-o", "json"])
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let causes = answer["causes"].as_array().unwrap().iter();
    let of = |cause: &Value| {
        let parts = ["dry_run", "check", "undo"].map(|part| cause["remedy"][part].clone());
        std::iter::once(cause["fix"].clone()).chain(parts)
    };
    let texts = causes.flat_map(of);
    let texts = texts.filter_map(|text| text.as_str().map(str::to_owned));
    texts.filter(|text| !text.is_empty()).collect()
}

/// What a command consists of besides names and values: one of each form is tried.
fn form(command: &str) -> String {
    let mut form = String::new();
    for word in shlex::split(command).unwrap() {
        let part = match word.split_once(['/', '=']) {
            _ if word.starts_with(['{', '[']) => "patch",
            Some((before, _)) => before,
            None => &word,
        };
        form += &format!("{part} ");
    }
    let words: Vec<&str> = form.split(' ').collect();
    let from = if words.get(1) == Some(&"-n") { 3 } else { 1 };
    words.get(from..).unwrap_or_default().join(" ")
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of this run")]
fn each_fix_is_a_command_that_kubectl_has() {
    let kube = Kube::frozen();
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for fault in Catalogue::shipped().faults() {
        lines.insert(format!("catalogue {}", fault.id), fault.fix.clone());
    }
    for family in std::fs::read_dir(repository().join("tests/scenarios")).unwrap() {
        let family = family.unwrap().path();
        let files = std::fs::read_dir(&family).into_iter().flatten();
        for file in files.map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|end| end == "jsonl") {
                for command in commands(&file) {
                    lines.entry(form(&command)).or_insert(command);
                }
            }
        }
    }
    println!("{} commands", lines.len());
    assert!(lines.len() > 200, "{} commands", lines.len());
    let refused: Vec<String> = lines.values().filter_map(|l| refused(&kube, l)).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
