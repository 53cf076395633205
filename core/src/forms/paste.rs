//! What people paste: text of a terminal with prompts, fences, quotes, colors and indentation
//! around what commands printed.

use super::{describe, table};

/// The commands whose output is read, as they stand behind a prompt.
const COMMANDS: &[&str] = &["kubectl ", "k ", "oc ", "stern ", "journalctl ", "cat "];

/// The parts of a text that one command printed each, without what was around them.
pub(super) fn parts(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in text.lines() {
        let line = without_colors(line.trim_end_matches('\r'));
        let line = line.strip_prefix("> ").unwrap_or(&line);
        if is_boundary(line) {
            all.push(String::new());
            continue;
        }
        let is_head = describe::begins(line)
            && !all.last().is_some_and(|own| describe::is_describe(own))
            || table::is_head(line) && all.last().is_some_and(|own| describe::is_describe(own));
        if is_head && !line.starts_with(' ') {
            all.push(String::new());
        }
        if let Some(own) = all.last_mut() {
            own.push_str(line);
            own.push('\n');
        }
    }
    let all = all.iter().filter(|own| !own.trim().is_empty());
    all.map(|own| outdented(own)).collect()
}

/// Whether a line is a prompt with its command, a fence, a rule, or a warning of `kubectl`.
fn is_boundary(line: &str) -> bool {
    let text = line.trim();
    if text.starts_with("```") || text.starts_with("Warning: ") {
        return true;
    }
    let is_rule = text.len() > 6 && text.starts_with("==") && text.ends_with("==");
    if is_rule && !text.contains(" logs for container ") {
        return true;
    }
    // `$ kubectl …`, `user@host:~$ kubectl …`, `[root@host ~]# oc …`
    let ends = ["$ ", "# ", "% ", "➜ ", "❯ "];
    let command = ends.iter().find_map(|end| text.split_once(end));
    command.is_some_and(|(before, command)| {
        let is_prompt = before.len() < 60 && !before.contains(": ");
        is_prompt
            && COMMANDS
                .iter()
                .any(|name| command.trim_start().starts_with(name))
    })
}

fn without_colors(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        let end = escape.find(|c: char| c.is_ascii_alphabetic());
        rest = end
            .and_then(|end| escape.get(end + 1..))
            .unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// A text without the indentation that all of its lines have.
fn outdented(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let common = lines().map(spaces).min().unwrap_or(0);
    let lines = text
        .lines()
        .map(|line| line.get(common..).unwrap_or_default());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_the_output_of_commands_is_left_out() {
        let text = "```\n$ kubectl get pods\n\
                    \u{1b}[1mNAME    READY   STATUS    RESTARTS   AGE\u{1b}[0m\n\
                    api-1   0/1     Pending   0          9m\n```\n\
                    user@host:~$ kubectl describe pod api-1\n\
                    Name:  api-1\nNamespace:  shop\n";
        let parts = parts(text);
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert!(parts[0].starts_with("NAME    READY"), "{parts:?}");
        assert_eq!(parts[1], "Name:  api-1\nNamespace:  shop\n");
    }

    #[test]
    fn quotes_and_indentation_are_left_out() {
        let text = "  Name:  a\n  Labels:  x=y\n           z=1\n";
        assert_eq!(parts(text), ["Name:  a\nLabels:  x=y\n         z=1\n"]);
        assert_eq!(
            parts("> Name:  a\n> Namespace:  b\n"),
            ["Name:  a\nNamespace:  b\n"]
        );
    }

    #[test]
    fn a_table_and_a_description_are_two_parts() {
        let table = "NAME  READY  STATUS\na  0/1  Pending\n";
        let described = "Name:  a\nNamespace:  shop\nStatus:  Pending\n";
        assert_eq!(parts(&format!("{table}{described}")), [table, described]);
        assert_eq!(parts(&format!("{described}{table}")), [described, table]);
    }

    #[test]
    fn log_lines_with_marks_are_no_prompts() {
        for line in [
            "2026-11-29 paid $ 20 by card",
            "ERROR: cost is $ kubectl ",
            "# kubectl is missing",
        ] {
            let is_prompt = is_boundary(line);
            assert_eq!(is_prompt, line.starts_with('#'), "{line}");
        }
    }
}
