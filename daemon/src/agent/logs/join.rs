//! Puts together what belongs together: parts of a line, and lines of a stack trace.

/// Most lines and bytes of one message.
const MOST_LINES: usize = 200;
const MOST_BYTES: usize = 32 << 10;

/// A message that may go on.
#[derive(Debug, Default)]
pub struct Message {
    /// When its first line was written.
    pub first: String,
    /// When its last line was written.
    pub last: String,
    /// Its text.
    pub text: String,
    /// Where its first line begins in the file.
    pub from: u64,
    /// Where its last line ends.
    pub to: u64,
    lines: usize,
    is_part: bool,
    /// Lines that are not indented belong to it, too, until one ends it.
    trace: Trace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trace {
    /// Indented lines and further causes alone.
    #[default]
    Plain,
    /// Python tells last what it was, on a line that is not indented.
    Python,
    /// Go names functions on lines that are not indented.
    Go,
}

/// Joins the lines of one stream.
#[derive(Debug, Default)]
pub struct Joiner(Option<Message>);

impl Joiner {
    /// Takes a line. Returns the message before it, when that is over.
    pub fn push(&mut self, line: &super::cri::Line<'_>, from: u64, to: u64) -> Option<Message> {
        if let Some(open) = &mut self.0
            && open.goes_on_with(line.message)
        {
            if !open.is_part {
                open.text.push('\n');
                open.lines += 1;
            }
            open.text.push_str(line.message);
            open.is_part = line.is_part;
            line.time.clone_into(&mut open.last);
            open.to = to;
            return None;
        }
        let fresh = Message {
            first: line.time.to_owned(),
            last: line.time.to_owned(),
            text: line.message.to_owned(),
            from,
            to,
            lines: 1,
            is_part: line.is_part,
            trace: Trace::of(line.message),
        };
        self.0.replace(fresh)
    }

    /// The message that is open, because nothing followed it for long.
    pub fn take(&mut self) -> Option<Message> {
        self.0.take()
    }

    /// Where the open message begins.
    pub fn open_from(&self) -> Option<u64> {
        self.0.as_ref().map(|m| m.from)
    }
}

impl Trace {
    fn of(line: &str) -> Self {
        if line.contains("Traceback (most recent call last)") {
            Self::Python
        } else if line.starts_with("panic: ") || line.starts_with("fatal error: ") {
            Self::Go
        } else {
            Self::Plain
        }
    }
}

impl Message {
    fn goes_on_with(&mut self, line: &str) -> bool {
        if self.text.len() + line.len() > MOST_BYTES || self.lines >= MOST_LINES {
            return false;
        }
        if self.is_part {
            return true;
        }
        let is_indented = line.starts_with([' ', '\t']);
        match self.trace {
            Trace::Python if !is_indented => {
                // The exception itself, or the words between two tracebacks.
                if !line.is_empty()
                    && !line.starts_with("During handling")
                    && !line.starts_with("The above exception")
                {
                    self.trace = Trace::Plain;
                }
                true
            }
            Trace::Go if !is_indented => {
                line.is_empty()
                    || ["goroutine ", "created by ", "[signal ", "exit status"]
                        .iter()
                        .any(|w| line.starts_with(w))
                    || line.ends_with(')')
            }
            _ => {
                is_indented
                    || ["Caused by: ", "Suppressed: ", "... "]
                        .iter()
                        .any(|w| line.starts_with(w))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cri::{Line, Stream};
    use super::*;

    fn joined(lines: &[&str]) -> Vec<String> {
        let mut joiner = Joiner::default();
        let mut out = Vec::new();
        let mut at = 0;
        for message in lines {
            let line = Line {
                time: "2026-01-01T00:00:00Z",
                stream: Stream::Out,
                is_part: false,
                message,
            };
            let to = at + message.len() as u64 + 1;
            out.extend(joiner.push(&line, at, to).map(|m| m.text));
            at = to;
        }
        out.extend(joiner.take().map(|m| m.text));
        out
    }

    #[test]
    fn stack_traces_are_one_message() {
        let java = ["ERROR failed", "java.lang.IllegalState: x"];
        assert_eq!(
            joined(&java).len(),
            2,
            "a line that is not indented is one of its own"
        );
        let java = [
            "java.lang.IllegalState: x",
            "\tat a.B.c(B.java:1)",
            "Caused by: java.io.IOException: y",
            "\t... 3 more",
            "next",
        ];
        assert_eq!(joined(&java), [java[..4].join("\n"), "next".into()]);
        let python = [
            "Traceback (most recent call last):",
            "  File \"a.py\", line 1, in <module>",
            "ValueError: x",
            "next",
        ];
        assert_eq!(joined(&python), [python[..3].join("\n"), "next".into()]);
        let go = [
            "panic: x",
            "",
            "goroutine 1 [running]:",
            "main.main()",
            "\t/a.go:3 +0x1",
            "next line",
        ];
        assert_eq!(joined(&go), [go[..5].join("\n"), "next line".into()]);
        assert_eq!(joined(&["one", "two"]), ["one", "two"]);
    }

    #[test]
    fn parts_are_one_line_and_places_are_known() {
        let mut joiner = Joiner::default();
        let line = |message, is_part| Line {
            time: "2026-01-01T00:00:00Z",
            stream: Stream::Out,
            is_part,
            message,
        };
        assert!(joiner.push(&line("ab", true), 0, 10).is_none());
        assert!(joiner.push(&line("cd", false), 10, 20).is_none());
        assert_eq!(joiner.open_from(), Some(0));
        let message = joiner.push(&line("next", false), 20, 30).unwrap();
        assert_eq!(
            (message.text.as_str(), message.from, message.to),
            ("abcd", 0, 20)
        );
    }

    #[test]
    fn a_message_has_an_end() {
        let lines = vec!["\tx"; 1000];
        assert_eq!(joined(&lines).len(), 5);
    }
}
