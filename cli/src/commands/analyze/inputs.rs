//! What belongs together, and what was read of it.

use std::path::{Path, PathBuf};

use kgrca_core::analyze::{Analysis, Evidence, Options, ReadSource};
use kgrca_core::forms::{Source, Unread};

use super::super::changes;
use super::super::files::label;
use super::super::sources::{self, File};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Files about one cluster.
pub(super) struct Input {
    pub name: String,
    pub paths: Vec<PathBuf>,
}

impl Input {
    /// All paths as one input.
    pub(super) fn together(paths: &[PathBuf]) -> Self {
        let first = paths.first().map(|path| label(path)).unwrap_or_default();
        let name = match paths.len() {
            0 | 1 => first,
            n => format!("{first} and {} more", n - 1),
        };
        Self {
            name,
            paths: paths.to_vec(),
        }
    }

    /// Each file as an input of its own, also those below directories.
    pub(super) fn separate(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for path in paths {
            if path.is_dir() {
                all.extend(sources::below(path)?.iter().map(|path| Self::of(path)));
            } else {
                all.push(Self::of(path));
            }
        }
        Ok(all)
    }

    fn of(path: &Path) -> Self {
        Self::together(&[path.to_owned()])
    }

    /// Reads the files and answers.
    ///
    /// # Errors
    /// When no record is about the namespace that is asked for.
    pub(super) fn analyze(&self, options: &Options) -> Result<Outcome> {
        let mut evidence = Evidence::new(options);
        let (mut unread, mut failures) = (Vec::new(), Vec::new());
        for path in &self.paths {
            let failed = sources::each(path, &mut |file| {
                add(&mut evidence, file, options, &mut unread);
            });
            if !failed.is_empty() {
                evidence.lacks_a_file();
            }
            failures.extend(failed);
        }
        if let Some(namespace) = &options.namespace {
            check(&evidence, namespace, &self.name)?;
        }
        let sources = evidence.sources().to_vec();
        let analysis = (!sources.is_empty()).then(|| evidence.analyze(&self.name));
        Ok(Outcome {
            analysis,
            sources,
            unread,
            failures,
        })
    }
}

/// Most namespaces that an error lists.
const MAX_NAMESPACES: usize = 8;

/// Whether records are about a namespace.
fn check(evidence: &Evidence<'_>, namespace: &str, name: &str) -> Result {
    let known: Vec<&str> = evidence.namespaces().into_iter().collect();
    // Where none is named, nothing says that it is another one.
    if known.is_empty() || known.contains(&namespace) {
        return Ok(());
    }
    let message = format!("namespace {namespace} is not in {name}");
    let hint = if let Some(similar) = changes::similar(namespace, &known) {
        format!("did you mean {similar}?")
    } else {
        let listed: Vec<&str> = known.iter().copied().take(MAX_NAMESPACES).collect();
        let more = if known.len() > MAX_NAMESPACES {
            ", …"
        } else {
            ""
        };
        format!("it has {}{more}", listed.join(", "))
    };
    Err(CliError::not_found(message).hint(&hint))
}

/// Reads all files of one state of a cluster.
///
/// # Errors
/// Names the first file that cannot be read; a state without objects, or without any of the
/// namespace that is asked for.
pub(super) fn state<'o>(
    which: &str,
    paths: &[PathBuf],
    options: &'o Options,
) -> Result<Evidence<'o>> {
    let mut evidence = Evidence::new(options);
    let mut unread = Vec::new();
    for path in paths {
        let failed = sources::each(path, &mut |file| {
            add(&mut evidence, file, options, &mut unread);
        });
        if let Some(error) = failed.into_iter().next() {
            return Err(error);
        }
    }
    let is_empty = evidence.sources().is_empty();
    let is_missed = |file: &UnreadFile| file.is_named || is_empty;
    if let Some(file) = unread.into_iter().find(is_missed) {
        let message = format!("cannot read {}: {}", file.path, file.why.looks_like);
        return Err(CliError::failed(message).hint(&file.why.hint));
    }
    let name = Input::together(paths).name;
    if evidence.sources().iter().all(|source| source.records == 0) {
        let message = format!("the state {which} has no readable objects: {name}");
        return Err(CliError::failed(message).hint("list its files with `kgrca analyze --sources`"));
    }
    if let Some(namespace) = &options.namespace {
        check(&evidence, namespace, &name)?;
    }
    Ok(evidence)
}

fn add(evidence: &mut Evidence<'_>, file: File, options: &Options, unread: &mut Vec<UnreadFile>) {
    let source = Source {
        path: &file.path,
        bytes: &file.bytes,
        taken_at: file.written,
        namespace: options.namespace.as_deref(),
    };
    if let Err(why) = evidence.add(&source) {
        unread.push(UnreadFile {
            why,
            is_named: file.is_named,
            path: file.path,
        });
    }
}

/// A file that nothing was read of.
pub(super) struct UnreadFile {
    path: String,
    why: Unread,
    /// Whether it was named itself.
    is_named: bool,
}

/// What an input gave.
pub(super) struct Outcome {
    /// `None` when nothing could be read.
    pub analysis: Option<Analysis>,
    pub sources: Vec<ReadSource>,
    pub unread: Vec<UnreadFile>,
    pub failures: Vec<CliError>,
}

impl Outcome {
    /// The errors: files that were named, or all when nothing else could be read.
    pub(super) fn errors(&self) -> impl Iterator<Item = CliError> + '_ {
        let nothing_else = self.analysis.is_none();
        let unread = self
            .unread
            .iter()
            .filter(move |file| file.is_named || nothing_else);
        let unread = unread.map(|file| {
            let message = format!("cannot read {}: {}", file.path, file.why.looks_like);
            CliError::failed(message).hint(&file.why.hint)
        });
        self.failures.iter().cloned().chain(unread)
    }

    /// A message about files in directories and archives of which nothing was read.
    pub(super) fn passed_over(&self) -> Option<String> {
        let number = self.unread.iter().filter(|file| !file.is_named).count();
        let of = self.sources.len() + self.unread.len();
        (number > 0 && self.analysis.is_some()).then(|| {
            format!("{number} of {of} files have no readable records; list them with --sources")
        })
    }

    /// What was read of each file.
    pub(super) fn table(&self) -> Table {
        let read = self.sources.iter().map(|source| {
            let mut notes = Vec::new();
            if source.rejected > 0 {
                notes.push(format!("{} rejected", source.rejected));
            }
            if source.left_out > 0 {
                notes.push(format!("{} not recognized", source.left_out));
            }
            let records = source.records.to_string();
            [
                source.path.clone(),
                source.form.to_owned(),
                records,
                notes.join(", "),
            ]
        });
        let unread = self.unread.iter().map(|file| {
            let note = format!("{}; {}", file.why.looks_like, file.why.hint);
            [file.path.clone(), "-".to_owned(), "0".to_owned(), note]
        });
        Table::new(&["SOURCE", "READ AS", "RECORDS", "NOTE"]).rows(read.chain(unread), |row| row)
    }
}
