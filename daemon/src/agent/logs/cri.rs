//! Lines as container runtimes write them (CRI): `time stream tag message`, the tag being F for a
//! whole line and P for a part.

/// Which of its two streams a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Its short name.
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
    /// When it was written, in RFC 3339.
    pub time: &'a str,
    /// Where to.
    pub stream: Stream,
    /// Whether the rest of it is in the next one.
    pub is_part: bool,
    /// What was written.
    pub message: &'a str,
}

/// Reads a line; `None` when it has another form.
pub fn parse(line: &str) -> Option<Line<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tags, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let stream = match stream {
        "stdout" => Stream::Out,
        "stderr" => Stream::Err,
        _ => return None,
    };
    // Further tags may follow behind a colon.
    let is_part = match tags.split(':').next()? {
        "P" => true,
        "F" => false,
        _ => return None,
    };
    let begins_with_a_year =
        time.len() >= 20 && time.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    begins_with_a_year.then_some(Line {
        time,
        stream,
        is_part,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_others_are_not() {
        let line = parse("2016-10-06T00:17:09.669794202Z stdout P log content 1").unwrap();
        assert_eq!(
            (line.stream, line.is_part, line.message),
            (Stream::Out, true, "log content 1")
        );
        let empty = parse("2016-10-06T00:17:09.669794202Z stderr F ").unwrap();
        assert_eq!(
            (empty.stream, empty.is_part, empty.message),
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
