//! Several files about one cluster, and one answer.

use std::collections::BTreeSet;

use super::reader::Input;
use super::{Analysis, Bounds, Options};
use crate::forms::{self, Form, Source, Unread};

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
    pub(super) options: &'o Options,
    pub(super) input: Input,
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
        let read = self.input.records.len();
        // Nothing stops it.
        let _ = self
            .input
            .read(source.path, &converted.json, self.options, &Bounds::NONE);
        let (counts, rejects) = before;
        if converted.form == Form::Table {
            self.input.hold_back(read);
            self.input.was_alive(converted.taken_at);
        }
        let records = self.input.counts.seen - counts.seen;
        let rejected = self.input.counts.rejected - counts.rejected;
        let is_empty_list = records == 0 && is_list(&converted.json);
        if records == rejected && !is_empty_list {
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

    /// Notes that a file could not be read: what was read is not everything.
    pub fn lacks_a_file(&mut self) {
        self.input.lacks_files = true;
    }

    /// The namespaces that the records name.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.input.namespaces()
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

/// Whether a text is a JSON list as `kubectl` prints it, which may have no items.
fn is_list(json: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct List {
        #[serde(rename = "items")]
        _items: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<List>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;
    use crate::rca::Verdict;

    const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"api-1","namespace":"shop",
        "creationTimestamp":"2026-11-29T09:00:00Z"},"spec":{"containers":[{"name":"api"}]},"status":
        {"phase":"Running","containerStatuses":[{"name":"api","restartCount":4,"state":{"waiting":
        {"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"reason":"OOMKilled","exitCode":137,
        "finishedAt":"2026-11-29T09:05:00Z"}}}]}}"#;
    const TABLE: &str = "NAME    READY   STATUS             RESTARTS   AGE\n\
                         api-1   0/1     CrashLoopBackOff   4          9m\n";

    fn source<'a>(path: &'a str, text: &'a str) -> Source<'a> {
        Source {
            path,
            bytes: text.as_bytes(),
            taken_at: Time::parse("2026-11-29T09:06:00Z").unwrap(),
            namespace: None,
        }
    }

    #[test]
    fn a_row_of_a_table_hides_nothing_that_an_object_tells() {
        let options = Options::default();
        for order in [[POD, TABLE], [TABLE, POD]] {
            let mut evidence = Evidence::new(&options);
            for text in order {
                evidence.add(&source("x", text)).unwrap();
            }
            let analysis = evidence.analyze("x");
            assert_eq!(analysis.incidents.len(), 1, "one pod");
            assert_eq!(analysis.causes[0].fault_type, "runtime.oom_killed");
            let fix = &analysis.causes[0].fix;
            assert!(!fix.contains("-n  "), "{fix}");
            let counts = &analysis.records;
            let sum = counts.applied + counts.duplicate + counts.rejected + counts.lost;
            assert_eq!((counts.seen, sum), (2, 2), "{counts:?}");
        }
    }

    #[test]
    fn a_list_without_items_is_read() {
        let options = Options::default();
        let mut evidence = Evidence::new(&options);
        let list = r#"{"kind":"List","apiVersion":"v1","items":[]}"#;
        assert_eq!(
            evidence.add(&source("events.json", list)).unwrap().records,
            0
        );
        assert_eq!(evidence.analyze("x").verdict, Verdict::NothingFound);
        let mut evidence = Evidence::new(&options);
        assert!(evidence.add(&source("a.json", r#"{"a":1}"#)).is_err());
    }
}
