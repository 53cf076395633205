//! Exception reports: which lines belong to one, which of them are frames, and its chain of causes.

/// A report under way: decides which lines continue it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    runtime: Runtime,
    /// Whether a line of the report was a frame or a cause: what follows without indentation is
    /// no longer the text of an exception.
    has_frames: bool,
    /// How many lines of text followed the header without a frame.
    loose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runtime {
    /// No exception: continued by indented lines and further causes only.
    #[default]
    Plain,
    /// The header of an exception: its text may have several lines before the first frame.
    Exception,
    /// Python names the exception on the last line, which is not indented.
    Python,
    /// Go prints function names on lines that are not indented.
    Go,
}

/// How many lines without indentation an exception's own text may have before its first frame.
const MAX_LOOSE: u8 = 12;

impl Open {
    /// A report that starts with this line.
    pub fn new(line: &str) -> Self {
        let runtime = if line.contains("Traceback (most recent call last)") {
            Runtime::Python
        } else if line.starts_with("panic: ") || line.starts_with("fatal error: ") {
            Runtime::Go
        } else if is_header(line) {
            Runtime::Exception
        } else {
            Runtime::Plain
        };
        Self {
            runtime,
            has_frames: false,
            loose: 0,
        }
    }

    /// Whether the next line belongs to the report.
    pub fn continues_with(&mut self, line: &str) -> bool {
        let is_indented = line.starts_with([' ', '\t']);
        if is_frame(line) || is_cause(line) {
            self.has_frames = true;
            if is_cause(line) {
                self.loose = 0;
            }
        }
        match self.runtime {
            Runtime::Python if !is_indented => self.continues_python(line),
            Runtime::Go if !is_indented => {
                line.is_empty()
                    || ["goroutine ", "created by ", "[signal ", "exit status"]
                        .iter()
                        .any(|w| line.starts_with(w))
                    || line.ends_with(')')
            }
            _ if is_indented || is_cause(line) || line.starts_with("... ") => true,
            // The text of an exception has further lines; a time stamp or another header ends it.
            Runtime::Exception if !self.has_frames && self.loose < MAX_LOOSE => {
                self.loose += 1;
                !starts_entry(line) && !is_header(line)
            }
            _ => line.starts_with("} ") || line == "}",
        }
    }

    fn continues_python(&mut self, line: &str) -> bool {
        let is_between =
            line.starts_with("During handling") || line.starts_with("The above exception");
        if line.starts_with("Traceback (most recent call last)") {
            self.has_frames = true;
            return true;
        }
        // The exception itself ends the report, unless another one follows it.
        if !line.is_empty() && !is_between {
            self.runtime = Runtime::Plain;
        }
        true
    }
}

/// Whether a line is a stack frame: a place in the source, never a host.
pub fn is_frame(line: &str) -> bool {
    let text = line.trim_start();
    let is_indented = text.len() < line.len();
    let dotnet_or_jvm = is_indented && text.starts_with("at ");
    let elided = text.starts_with("... ") && text.ends_with(['e', 'n', 'd', 's', 't']);
    let python = text.starts_with("File \"") && text.contains(", line ");
    let go = is_indented && text.contains(".go:") || text.starts_with("goroutine ");
    dotnet_or_jvm || elided || python || go
}

/// Whether a line introduces a cause of the exception before it.
fn is_cause(line: &str) -> bool {
    let text = line.trim_start();
    [
        "Caused by: ",
        "Caused by ",
        "Suppressed: ",
        "Wrapped by: ",
        "[cause]: ",
        "caused by: ",
        "---> ",
        "cause: ",
    ]
    .iter()
    .any(|w| text.starts_with(w))
}

/// Whether a line names an exception: a class with the suffix of one, before a colon or alone.
fn is_header(line: &str) -> bool {
    let text = line
        .strip_prefix("Exception in thread ")
        .or_else(|| line.strip_prefix("Unhandled exception. "))
        .unwrap_or(line);
    let text = text.rsplit('"').next().unwrap_or(text).trim_start();
    let class = text.split([':', ' ']).next().unwrap_or("");
    let is_class = class.len() > 5
        && class
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'$'))
        && class.bytes().any(|c| c.is_ascii_uppercase());
    is_class
        && ["Exception", "Error", "Throwable", "Failure", "Fault"]
            .iter()
            .any(|end| class.ends_with(end))
}

/// Whether a line starts as log lines do: with a date, a time, a level, or as JSON or logfmt.
fn starts_entry(line: &str) -> bool {
    let head = line.trim_start_matches(['[', '"']);
    let digits = head.bytes().take_while(u8::is_ascii_digit).count();
    let next = head.as_bytes().get(digits);
    let has_date = (2..=4).contains(&digits) && matches!(next, Some(b'-' | b':' | b'/'));
    let word = head.split([' ', ':', ']', '=']).next().unwrap_or("");
    let is_klog = word.len() == 5
        && word.starts_with(['I', 'W', 'E', 'F'])
        && word[1..].bytes().all(|c| c.is_ascii_digit());
    let is_level = [
        "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL",
    ]
    .contains(&word.to_ascii_uppercase().as_str());
    let is_logfmt = ["time", "ts", "level", "lvl", "t"].contains(&word) && head.contains('=');
    has_date || is_klog || is_level || is_logfmt || line.starts_with('{')
}

/// Whether a message is an exception report: it has frames or causes.
pub fn is_report(message: &str) -> bool {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or("");
    first.contains("Traceback (most recent call last)")
        || lines.any(|line| is_frame(line) || is_cause(line))
}

/// Whether a message may nest exceptions, or have frames.
pub fn nests(message: &str) -> bool {
    message.contains('\n')
        || message.contains("; nested exception is ")
        || message.contains(" ---> ")
}

/// The parts of a message that each tell of one exception, without frames, innermost cause first.
///
/// A message of one line is one part, unless it nests exceptions itself.
pub fn causes(message: &str) -> Vec<String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut is_python_chain = false;
    let mut in_python_frames = false;
    for line in message.lines() {
        let is_indented = line.starts_with([' ', '\t']);
        if line.starts_with("During handling of") || line.starts_with("The above exception was") {
            is_python_chain = true;
            parts.push(String::new());
            continue;
        }
        if line.contains("Traceback (most recent call last)") {
            in_python_frames = true;
        } else if !is_indented {
            in_python_frames = false;
        }
        // Below a Python frame stands the source line: no message either.
        if is_frame(line) || in_python_frames && is_indented {
            continue;
        }
        if is_cause(line) {
            parts.push(String::new());
        }
        for (i, piece) in nested(line).enumerate() {
            if i > 0 {
                parts.push(String::new());
            }
            if let Some(part) = parts.last_mut() {
                if !part.is_empty() {
                    part.push('\n');
                }
                part.push_str(piece);
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    if !is_python_chain {
        parts.reverse();
    }
    parts
}

/// The exceptions that one line nests, outermost first: Spring and .NET.
fn nested(line: &str) -> impl Iterator<Item = &str> {
    line.split("; nested exception is ")
        .flat_map(|piece| piece.split(" ---> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[&str]) -> usize {
        let mut open = Open::new(lines[0]);
        1 + lines[1..]
            .iter()
            .take_while(|line| open.continues_with(line))
            .count()
    }

    #[test]
    fn the_text_of_an_exception_belongs_to_it_until_its_frames_end() {
        let driver = [
            "com.example.CommunicationsException: Communications link failure",
            "",
            "The last packet sent successfully to the server was 0 milliseconds ago.",
            "\tat com.example.Driver.connect(Driver.java:89)",
            "Caused by: com.example.CJException: Communications link failure",
            "",
            "The last packet sent successfully to the server was 0 milliseconds ago.",
            "\tat com.example.Driver.connect(Driver.java:12)",
            "Caused by: java.net.ConnectException: Connection refused",
            "\t... 12 more",
            "2026-01-01 10:00:00 INFO next",
        ];
        assert_eq!(joined(&driver[..4]), 4);
        assert_eq!(joined(&["next line", "another line"]), 1);
        let stamped = ["java.lang.Error: x", "2026-01-01 10:00:00 INFO next"];
        assert_eq!(joined(&stamped), 1);
    }

    #[test]
    fn the_innermost_cause_comes_first() {
        let java = "org.x.OuterException: outer\n\tat a.B.c(B.java:1)\n\
                    Caused by: java.net.ConnectException: Connection refused\n\t... 3 more";
        assert_eq!(
            causes(java)[0],
            "Caused by: java.net.ConnectException: Connection refused"
        );
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    \
                      s.connect((h, p))\nConnectionRefusedError: [Errno 111]\n\n\
                      During handling of the above exception, another exception occurred:\n\n\
                      Traceback (most recent call last):\n  File \"b.py\", line 2, in g\n    \
                      raise X\nurllib3.exceptions.MaxRetryError: x";
        assert!(causes(python)[0].contains("[Errno 111]"));
        assert!(!causes(python).concat().contains("b.py"));
        let dotnet = "System.AggregateException: One or more errors ---> \
                      System.Net.Sockets.SocketException: Connection refused\n   at X.Y() in \
                      /src/Y.cs:line 12";
        assert!(causes(dotnet)[0].starts_with("System.Net.Sockets"));
        let node = "Error: outer\n    at f (/app/a.js:1:2) {\n  [cause]: Error: connect \
                    ECONNREFUSED 10.0.0.1:80\n      at g (node:net:1)\n}";
        assert!(causes(node)[0].contains("ECONNREFUSED"));
        let spring = "BeanCreationException: a; nested exception is java.lang.Error: b";
        assert_eq!(causes(spring)[0], "java.lang.Error: b");
        assert_eq!(causes("one line"), ["one line"]);
    }

    #[test]
    fn a_message_with_frames_is_a_report() {
        assert!(is_report("WARN x\n\tat a.B.c(B.java:1)"));
        assert!(is_report("x\nCaused by: y"));
        assert!(!is_report("first\nsecond"));
        assert!(!is_report("at noon the job starts"));
    }
}
