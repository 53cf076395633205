//! Where each request of a connection ends, read as strictly as any proxy in front may read it. The
//! HTTP library drops a `Content-Length` beside a `Transfer-Encoding`, and accepts lines without a
//! carriage return: a proxy that reads them otherwise would see other requests than the server.

/// Most bytes of a head, and of a line in a chunked body.
const MAX_HEAD: usize = super::MAX_HEAD;
const MAX_LINE: usize = 8 << 10;
/// Most headers of a request, as in the HTTP library.
const MAX_HEADERS: usize = 100;

/// What follows on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    /// So many bytes of a body.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk, with the line break behind it.
    Chunk(u64),
    Trailer,
}

/// The requests of one connection, as its bytes arrive.
#[derive(Debug)]
pub(super) struct Framing {
    next: Next,
    /// What arrived of a head or a line.
    text: Vec<u8>,
}

/// Why a request could be read in two ways.
pub(super) type Ambiguity = &'static str;

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            next: Next::Head,
            text: Vec::new(),
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// Why the request could be read in two ways; nothing behind it can be trusted.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguity> {
        while !bytes.is_empty() {
            bytes = match self.next {
                Next::Body(left) => {
                    let (rest, left) = skip(bytes, left);
                    self.next = if left == 0 {
                        Next::Head
                    } else {
                        Next::Body(left)
                    };
                    rest
                }
                Next::Chunk(left) => {
                    let (rest, left) = skip(bytes, left);
                    self.next = if left == 0 {
                        Next::ChunkSize
                    } else {
                        Next::Chunk(left)
                    };
                    rest
                }
                Next::Head | Next::ChunkSize | Next::Trailer => self.line(bytes)?,
            };
        }
        Ok(())
    }

    /// Takes the bytes up to the end of a line, and returns those behind it.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Ambiguity> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.map(|at| at + 1).unwrap_or(bytes.len()));
        self.text.extend_from_slice(line);
        let max = if self.next == Next::Head {
            MAX_HEAD
        } else {
            MAX_LINE
        };
        if self.text.len() > max {
            return Err("a line or the head is too long");
        }
        if end.is_none() {
            return Ok(rest);
        }
        if !self.text.ends_with(b"\r\n") {
            return Err("a line ends without a carriage return");
        }
        match self.next {
            Next::Head if self.text == b"\r\n" => self.text = Vec::new(),
            Next::Head if self.text.ends_with(b"\r\n\r\n") => {
                self.next = after_head(&self.text)?;
                self.text = Vec::new();
            }
            Next::ChunkSize => {
                self.next = match chunk_size(&self.text)? {
                    0 => Next::Trailer,
                    size => Next::Chunk(size.saturating_add(2)),
                };
                self.text = Vec::new();
            }
            Next::Trailer => {
                if self.text == b"\r\n" {
                    self.next = Next::Head;
                }
                self.text = Vec::new();
            }
            Next::Head | Next::Body(_) | Next::Chunk(_) => {}
        }
        Ok(rest)
    }
}

/// The bytes behind so many, and how many of those are still to come.
fn skip(bytes: &[u8], left: u64) -> (&[u8], u64) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (&bytes[here..], left - here as u64)
}

fn after_head(head: &[u8]) -> Result<Next, Ambiguity> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head) != Ok(httparse::Status::Complete(head.len())) {
        return Err("the head is malformed");
    }
    let named = |name: &str| {
        let mut values = request.headers.iter();
        let first = values.find(|header| header.name.eq_ignore_ascii_case(name));
        let again = values.any(|header| header.name.eq_ignore_ascii_case(name));
        (first.map(|header| header.value), again)
    };
    match (named("content-length"), named("transfer-encoding")) {
        ((_, true), _) => Err("`Content-Length` is sent twice"),
        (_, (_, true)) => Err("`Transfer-Encoding` is sent twice"),
        ((Some(_), _), (Some(_), _)) => Err("`Content-Length` is sent beside `Transfer-Encoding`"),
        (_, (Some(coding), _)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Next::ChunkSize),
        (_, (Some(_), _)) => Err("the only `Transfer-Encoding` accepted is `chunked`"),
        ((Some(length), _), _) => length_of(length),
        ((None, _), (None, _)) => Ok(Next::Head),
    }
}

fn length_of(value: &[u8]) -> Result<Next, Ambiguity> {
    let digits = std::str::from_utf8(value).unwrap_or_default();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(0) if is_number => Ok(Next::Head),
        Ok(length) if is_number => Ok(Next::Body(length)),
        _ => Err("`Content-Length` is not a number"),
    }
}

/// The size at the start of a line; what follows a semicolon says nothing of it.
fn chunk_size(line: &[u8]) -> Result<u64, Ambiguity> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let text = text.split(';').next().unwrap_or_default();
    let digits = text.trim_end_matches(['\r', '\n', ' ', '\t']);
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("the size of a chunk is malformed");
    }
    u64::from_str_radix(digits, 16).map_err(|_| "the size of a chunk is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a connection, whichever way its bytes are cut.
    fn read(text: &str) -> Result<Next, Ambiguity> {
        let mut whole = Framing::new();
        let result = whole.read(text.as_bytes()).map(|()| whole.next);
        let mut bytes = Framing::new();
        let single = text.as_bytes().chunks(1).try_for_each(|b| bytes.read(b));
        assert_eq!(single.map(|()| bytes.next), result, "{text:?}");
        result
    }

    #[test]
    fn requests_follow_each_other() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab\ncd";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       4;a=b\r\nGET \r\nA\r\n0123\n56789\r\n0\r\nX: y\r\n\r\n";
        let all = format!("{get}\r\n{sized}{chunked}{sized}{get}{chunked}");
        assert_eq!(read(&all), Ok(Next::Head));
        assert_eq!(read(&all[..all.len() - 1]), Ok(Next::Trailer));
        let text = "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\nabc";
        assert_eq!(read(text), Ok(Next::Body(4)));
    }

    #[test]
    fn what_proxies_may_read_otherwise_is_refused() {
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ncontent-length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length : 5\r\n",
            "Content-Length: 5\r\n 6\r\n",
            "Content-Length: 5\n",
            "X: y\n\nContent-Length: 5\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
        ] {
            let request = format!("POST / HTTP/1.1\r\n{headers}\r\n");
            assert!(read(&request).is_err(), "{headers:?}");
        }
        for body in ["5x\r\n", "-1\r\n", "\r\n", "5\n", "11111111111111111\r\n"] {
            let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
            assert!(read(&format!("{head}{body}")).is_err(), "{body:?}");
        }
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        assert!(read(&long).is_err());
    }
}
