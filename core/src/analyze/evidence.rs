//! Several files about one cluster, and one answer.

use super::reader::Input;
use super::{Analysis, Bounds, Options};
use crate::forms::{self, Source, Unread};

/// What was read of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSource {
    /// Its path.
    pub path: String,
    /// As what it was read, such as `kubectl describe`.
    pub form: &'static str,
    /// Number of its records.
    pub records: u64,
    /// How many of these could not be read.
    pub rejected: u64,
    /// Rows, blocks or lines in which nothing was recognized.
    pub left_out: u64,
}

/// Records of several files about one cluster.
pub struct Evidence<'o> {
    options: &'o Options,
    input: Input,
    sources: Vec<ReadSource>,
}

impl<'o> Evidence<'o> {
    /// Without any file yet.
    pub fn new(options: &'o Options) -> Self {
        Self {
            options,
            input: Input::default(),
            sources: Vec::new(),
        }
    }

    /// Adds what a file says.
    ///
    /// # Errors
    /// When it has no record that can be read; nothing of it is added then.
    pub fn add(&mut self, source: &Source<'_>) -> Result<&ReadSource, Unread> {
        let converted = forms::read(source)?;
        let before = (self.input.counts.clone(), self.input.rejects.len());
        // Nothing stops it.
        let _ = self
            .input
            .read(source.path, &converted.json, self.options, &Bounds::NONE);
        let (counts, rejects) = before;
        let records = self.input.counts.seen - counts.seen;
        let rejected = self.input.counts.rejected - counts.rejected;
        if records == rejected {
            self.input.counts = counts;
            let first = self.input.rejects.drain(rejects..).next();
            return Err(forms::without_records(
                converted.form,
                first.map(|reject| reject.message),
            ));
        }
        self.sources.push(ReadSource {
            path: source.path.to_owned(),
            form: converted.form.as_str(),
            records,
            rejected,
            left_out: converted.left_out,
        });
        Ok(&self.sources[self.sources.len() - 1])
    }

    /// What was read of each file.
    pub fn sources(&self) -> &[ReadSource] {
        &self.sources
    }

    /// The answer to all that was added.
    pub fn analyze(mut self, name: &str) -> Analysis {
        let mut analysis = Analysis::empty(name, self.options);
        self.input.finish(self.options);
        // Nothing stops it.
        let _ = analysis.evaluate(self.input, self.options, &Bounds::NONE);
        analysis
    }
}
