//! `kubectl cluster-info dump` in one stream: JSON lists, and logs between two marks.

use super::{Found, Source, logs};

const START: &str = "==== START logs for container ";
const END: &str = "==== END logs for container ";

/// Whether JSON is followed by logs between marks.
pub(super) fn is_dump(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, START.as_bytes()).is_some()
}

pub(super) fn read(text: &str, source: &Source<'_>) -> Found {
    let mut found = Found::default();
    let (mut json, mut lines) = (String::new(), String::new());
    let mut of = None;
    for line in text.lines() {
        if let Some(mark) = line.strip_prefix(START) {
            take_json(&mut json, &mut found);
            of = Some(path(mark));
        } else if line.starts_with(END) {
            take_lines(&mut lines, of.take(), source, &mut found);
        } else {
            let part = if of.is_some() { &mut lines } else { &mut json };
            part.push_str(line);
            part.push('\n');
        }
    }
    take_json(&mut json, &mut found);
    take_lines(&mut lines, of, source, &mut found);
    found
}

/// Where a bundle would have the lines behind a mark such as `api of pod shop/api-1 ====`.
fn path(mark: &str) -> String {
    let mark = mark.trim_end_matches(['=', ' ']);
    let (container, pod) = mark.split_once(" of pod ").unwrap_or((mark, ""));
    format!("pods/logs/{pod}/{container}.log")
}

fn take_lines(lines: &mut String, of: Option<String>, source: &Source<'_>, found: &mut Found) {
    let Some(path) = of else { return };
    let source = Source {
        path: &path,
        ..*source
    };
    if let Ok(logs) = logs::read(lines, &source) {
        found.json.extend(logs.json);
    }
    lines.clear();
}

pub(super) fn take_json(json: &mut String, found: &mut Found) {
    for value in serde_json::Deserializer::from_str(json).into_iter() {
        let Ok(value) = value else {
            found.left_out += 1;
            break;
        };
        found.push(&value);
    }
    json.clear();
}
