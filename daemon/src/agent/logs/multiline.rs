//! Joins partial lines, and the lines of a stack trace, into one message.

use kgrca_core::trouble::report;

/// Maximum size of a message; what follows becomes a message of its own.
const MAX_LINES: usize = 200;
const MAX_BYTES: usize = 32 << 10;
/// Maximum number of frames that are left out of a message.
const MAX_OMITTED: usize = 2_000;

/// A message of one or more lines.
#[derive(Debug, Default)]
pub struct Message {
    /// When its first line was written.
    pub first: String,
    /// When its last line was written.
    pub last: String,
    /// Text of all lines.
    pub text: String,
    /// Offset of its first line in the file.
    pub from: u64,
    /// Offset after its last line.
    pub to: u64,
    lines: usize,
    omitted: usize,
    is_partial: bool,
    /// Decides which lines continue it.
    report: report::Open,
}

/// Joins the lines of one stream.
#[derive(Debug, Default)]
pub struct Joiner(Option<Message>);

impl Joiner {
    /// Adds a line at an offset range. Returns the previous message if the line starts a new one.
    pub fn push(&mut self, line: &super::cri::Line<'_>, from: u64, to: u64) -> Option<Message> {
        if let Some(open) = &mut self.0
            && open.continues_with(line.message)
        {
            if open.omits(line.message) {
                open.omitted += 1;
            } else {
                if !open.is_partial {
                    open.text.push('\n');
                    open.lines += 1;
                }
                open.text.push_str(line.message);
                open.is_partial = line.is_partial;
            }
            line.time.clone_into(&mut open.last);
            open.to = to;
            return None;
        }
        let new = Message {
            first: line.time.to_owned(),
            last: line.time.to_owned(),
            text: line.message.to_owned(),
            from,
            to,
            lines: 1,
            omitted: 0,
            is_partial: line.is_partial,
            report: report::Open::new(line.message),
        };
        self.0.replace(new)
    }

    /// Takes the open message, because no line followed it for a while.
    pub fn take(&mut self) -> Option<Message> {
        self.0.take()
    }

    /// Offset at which the open message starts.
    pub fn open_from(&self) -> Option<u64> {
        self.0.as_ref().map(|m| m.from)
    }
}

impl Message {
    fn continues_with(&mut self, line: &str) -> bool {
        if self.is_partial {
            return self.has_room(line);
        }
        self.report.continues_with(line) && (self.omits(line) || self.has_room(line))
    }

    /// Whether the message may grow by a line. Beyond half of either limit frames are left out, so
    /// that what follows them still fits.
    fn has_room(&self, line: &str) -> bool {
        self.text.len() + line.len() <= MAX_BYTES && self.lines < MAX_LINES
    }

    /// Whether a line is left out because the message is long.
    fn omits(&self, line: &str) -> bool {
        let is_long = self.text.len() > MAX_BYTES / 2 || self.lines >= MAX_LINES / 2;
        is_long && self.omitted < MAX_OMITTED && !self.is_partial && report::is_frame(line)
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
                is_partial: false,
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
            "a line that is not indented is a message of its own"
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
    fn partial_lines_are_joined_and_offsets_kept() {
        let mut joiner = Joiner::default();
        let line = |message, is_partial| Line {
            time: "2026-01-01T00:00:00Z",
            stream: Stream::Out,
            is_partial,
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
    fn a_long_report_loses_frames_and_no_causes() {
        let frame = "\tat com.example.Handler.call(Handler.java:12)";
        let mut lines = vec!["java.lang.RuntimeException: outer"];
        lines.extend([frame; 400]);
        lines.push("Caused by: java.net.ConnectException: Connection refused");
        lines.extend([frame; 400]);
        lines.push("2026-01-01 10:00:00 INFO next");
        let messages = joined(&lines);
        assert_eq!(messages.len(), 2);
        assert!(messages[0].ends_with("Connection refused"));
        assert!(messages[0].lines().count() <= MAX_LINES);
    }

    #[test]
    fn the_text_of_an_exception_may_have_several_lines() {
        let lines = [
            "com.example.CommunicationsException: Communications link failure",
            "",
            "The last packet sent successfully to the server was 0 milliseconds ago.",
            "\tat com.example.Driver.connect(Driver.java:12)",
            "Caused by: java.net.ConnectException: Connection refused",
            "2026-01-01 10:00:00 INFO next",
        ];
        assert_eq!(joined(&lines), [lines[..5].join("\n"), lines[5].into()]);
    }

    #[test]
    fn a_message_has_a_maximum_size() {
        let lines = vec!["\tx"; 1000];
        assert_eq!(joined(&lines).len(), 5);
    }
}
