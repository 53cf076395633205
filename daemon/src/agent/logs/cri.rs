//! The log format of container runtimes (CRI): `time stream tag message`, where the tag is F for a
//! full line and P for a partial one.

/// The stream that a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Short name, as in the stream names of records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

/// A line of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written, RFC 3339.
    pub time: &'a str,
    /// The stream it was written to.
    pub stream: Stream,
    /// Whether it continues on the next line.
    pub is_partial: bool,
    /// The text that the container wrote.
    pub message: &'a str,
}

/// Parses a line; `None` if it is not in the CRI format.
pub fn parse(line: &str) -> Option<Line<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tags, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let stream = match stream {
        "stdout" => Stream::Out,
        "stderr" => Stream::Err,
        _ => return None,
    };
    // More tags may follow after a colon.
    let is_partial = match tags.split(':').next()? {
        "P" => true,
        "F" => false,
        _ => return None,
    };
    let starts_with_a_year =
        time.len() >= 20 && time.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    starts_with_a_year.then_some(Line {
        time,
        stream,
        is_partial,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_in_the_cri_format_are_parsed() {
        let line = parse("2016-10-06T00:17:09.669794202Z stdout P log content 1").unwrap();
        assert_eq!(
            (line.stream, line.is_partial, line.message),
            (Stream::Out, true, "log content 1")
        );
        let empty = parse("2016-10-06T00:17:09.669794202Z stderr F ").unwrap();
        assert_eq!(
            (empty.stream, empty.is_partial, empty.message),
            (Stream::Err, false, "")
        );
        for other in [
            "",
            "hello",
            "hello stdout F x",
            "2016-10-06T00:17:09.669794202Z stdin F x",
            r#"{"log":"x"}"#,
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
