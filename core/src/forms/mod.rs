//! What people have at hand instead of records: YAML, text that kubectl prints, dumps and logs. Each
//! form is recognized by its content and turned into the JSON that [`crate::parse::parse_any`]
//! reads. A text shows a part of an object only: what it does not show is unknown, never absent.

mod age;
mod columns;
mod describe;
mod dump;
mod encoding;
mod lines;
mod logs;
mod origin;
mod outline;
mod paste;
mod table;
mod unread;
mod yaml;

use std::borrow::Cow;

use serde_json::Value;

use crate::model::Time;
use origin::Origin;

/// A file, a member of an archive, or what was piped in.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its path, which in dumps and bundles names the pod whose logs it holds.
    pub path: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
    /// When it was written: ages such as `3m2s` count from then.
    pub taken_at: Time,
    /// The namespace of lines that name a pod only.
    pub namespace: Option<&'a str>,
}

/// What a source was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON: records, objects, lists, answers of APIs.
    Json,
    /// YAML: objects and lists.
    Yaml,
    /// `kubectl describe`.
    Describe,
    /// `kubectl get` as a table.
    Table,
    /// `kubectl cluster-info dump` in one stream.
    Dump,
    /// Log lines.
    Logs,
}

impl Form {
    /// How it is called in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Describe => "kubectl describe",
            Self::Table => "kubectl get",
            Self::Dump => "kubectl cluster-info dump",
            Self::Logs => "logs",
        }
    }
}

/// A source that was recognized.
#[derive(Debug)]
pub struct Converted<'a> {
    /// As what.
    pub form: Form,
    /// JSON lines or documents for [`crate::parse::parse_any`].
    pub json: Cow<'a, [u8]>,
    /// Rows or blocks that hold nothing the engine reads.
    pub left_out: u64,
    /// When it was printed: as its text says, or else when it was written.
    pub taken_at: Time,
}

/// Why nothing can be read from a source, and what would give something readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What it looks like.
    pub looks_like: String,
    /// What to do instead.
    pub hint: String,
}

/// Recognizes a source by its content.
///
/// # Errors
/// Says what a source looks like that cannot be read.
pub fn read<'a>(source: &Source<'a>) -> Result<Converted<'a>, Unread> {
    let bytes = encoding::decode(source.bytes);
    // What a pod logs may be JSON.
    if encoding::is_json(&bytes) && !dump::is_dump(&bytes) && !is_log(source) {
        return Ok(Converted {
            form: Form::Json,
            json: bytes,
            left_out: 0,
            taken_at: source.taken_at,
        });
    }
    let text = String::from_utf8_lossy(&bytes);
    let (form, found) = of_file(&text, source)?;
    Ok(Converted {
        form,
        json: found.json.into(),
        left_out: found.left_out,
        taken_at: found.printed_at.unwrap_or(source.taken_at),
    })
}

/// Reads a text whole, or else what commands printed that were pasted into it.
fn of_file(text: &str, source: &Source<'_>) -> Result<(Form, Found), Unread> {
    let parts = paste::parts(text);
    let is_as_printed = match &parts[..] {
        [] => true,
        [only] => only.trim() == text.trim(),
        _ => false,
    };
    if is_as_printed || is_log(source) || dump::is_dump(text.as_bytes()) {
        return of_text(text, source);
    }
    // What was pasted together was printed at about the same time.
    let printed_at = parts
        .iter()
        .filter_map(|part| describe::printed_at(part))
        .max();
    let source = &Source {
        taken_at: printed_at.unwrap_or(source.taken_at),
        ..*source
    };
    let (mut form, mut refused) = (None, None);
    let mut all = Found {
        printed_at,
        ..Found::default()
    };
    for part in &parts {
        match of_part(part, source) {
            Ok((of_part, found)) => {
                form = form.or(Some(of_part));
                all.json.extend(found.json);
                all.left_out += found.left_out;
            }
            Err(unread) => {
                all.left_out += 1;
                refused = refused.or(Some(unread));
            }
        }
    }
    // A text that is of one form with odd lines, such as logs, is read better whole.
    let whole = || of_text(text, source).map_err(|unread| refused.unwrap_or(unread));
    form.map(|form| Ok((form, all))).unwrap_or_else(whole)
}

fn of_part(part: &str, source: &Source<'_>) -> Result<(Form, Found), Unread> {
    if !encoding::is_json(part.as_bytes()) {
        return of_text(part, source);
    }
    let mut found = Found::default();
    dump::take_json(&mut part.to_owned(), &mut found);
    Ok((Form::Json, found))
}

/// Whether a file holds the log lines of a pod, whatever these look like.
fn is_log(source: &Source<'_>) -> bool {
    !Origin::of(source).pod.is_empty()
}

/// Why a source that was recognized has no record, with what is wrong with the first value.
pub fn without_records(form: Form, reason: Option<String>) -> Unread {
    let looks_like = match (form, reason) {
        (Form::Json | Form::Yaml, Some(reason)) => {
            format!(
                "{} without Kubernetes objects or records: {reason}",
                form.as_str()
            )
        }
        (_, None) => format!("{} without any object", form.as_str()),
        (_, Some(reason)) => format!("{} of which nothing can be read: {reason}", form.as_str()),
    };
    Unread {
        looks_like,
        hint: "write one with `kubectl get all,events -A -o json`".into(),
    }
}

fn of_text(text: &str, source: &Source<'_>) -> Result<(Form, Found), Unread> {
    if is_log(source) {
        return logs::read(text, source).map(|found| (Form::Logs, found));
    }
    if let Some(unread) = unread::at_sight(text, source.path) {
        return Err(unread);
    }
    if dump::is_dump(text.as_bytes()) {
        return Ok((Form::Dump, dump::read(text, source)));
    }
    if yaml::is_yaml(text) {
        return yaml::read(text).map(|found| (Form::Yaml, found));
    }
    if describe::is_describe(text) {
        return Ok((Form::Describe, describe::read(text, source.taken_at)));
    }
    if table::is_table(text) {
        return table::read(text, source).map(|found| (Form::Table, found));
    }
    logs::read(text, source).map(|found| (Form::Logs, found))
}

/// What was found in a text.
#[derive(Debug, Default)]
struct Found {
    /// A JSON value per line.
    json: Vec<u8>,
    left_out: u64,
    /// When it was printed, where the text says so.
    printed_at: Option<Time>,
}

impl Found {
    fn push(&mut self, value: &Value) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.json, value);
        self.json.push(b'\n');
    }
}

#[cfg(test)]
mod tests;
