//! The value beside the name of a secret, in the notations of programs: `password=x`,
//! `"token": "x y"`, `--password x`, `<password>x</password>`, `password: |`, and all of them in
//! strings with escaped quotes.

use std::ops::Range;

use super::MASK;
use super::name::{self, Sort};
use super::scan::{Found, ahead, behind};

/// Masks the value of the name that a hit is part of. Returns where the name ends.
pub(super) fn after(text: &str, hit: Range<usize>, found: &mut Found) -> usize {
    let bytes = text.as_bytes();
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let start = hit.start - bytes[..hit.start].iter().rev().take_while(is_name).count();
    let end = hit.end + bytes[hit.end..].iter().take_while(is_name).count();
    // The letter of an escaped line break is not part of the name.
    let is_escape = start > 0 && bytes[start - 1] == b'\\';
    let start = if is_escape { start + 1 } else { start };
    if start >= hit.end {
        return end;
    }
    let full = &text[start..end];
    let name = full.trim_end_matches(['.', '-', '_']);
    let end_of_name = start + name.len();
    let place = Place {
        text,
        start,
        end: end_of_name,
    };
    let Some(value) = place.value() else {
        return end;
    };
    // Looking at the name is dearer than looking for a value, which most have not.
    let sort = name::sort(name);
    let content = &text[value.range.clone()];
    if sort == Sort::Plain || is_placeholder(content) || is_path(content) {
        return end;
    }
    let is_prose = value.is_spaced && sort != Sort::Password && is_message(text, &value.range);
    let is_option = value.is_option && sort == Sort::Random;
    let fits = if value.is_said {
        // A quoted word behind a name may be another name: `secret "db" not found`, `key "dbHost1"`.
        name::looks_secret(content) && !name::is_of_words(content)
    } else {
        name::fits(sort, name, content)
    };
    if !is_prose && !is_option && fits {
        found.add(value.range);
    }
    end
}

struct Value {
    range: Range<usize>,
    /// After a colon and a space, without quotes: it may as well be a message.
    is_spaced: bool,
    /// After an option and a space.
    is_option: bool,
    /// In a sentence: `invalid token "x"`.
    is_said: bool,
}

impl Value {
    fn of(range: Range<usize>) -> Self {
        Self {
            range,
            is_spaced: false,
            is_option: false,
            is_said: false,
        }
    }
}

/// Where a name stands.
struct Place<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

impl Place<'_> {
    fn value(&self) -> Option<Value> {
        let text = self.text;
        let rest = &text[self.end..];
        if let Some(range) = self.element() {
            return Some(Value::of(range));
        }
        let quotes = rest.len() - rest.trim_start_matches(['"', '\'', '\\', ']']).len();
        let is_quoted = quotes > 0;
        let behind = &rest[quotes..];
        // French has a space of its own before a colon.
        let tail = behind.trim_start_matches([' ', '\t', '\u{a0}', '\u{202f}']);
        let is_apart = tail.len() < behind.len();
        let at = |part: &str| text.len() - part.len();
        for separator in ["=>", "->", ":=", "==", "=", ":", "：", "＝"] {
            let Some(inner) = tail.strip_prefix(separator) else {
                continue;
            };
            // `kind://…`.
            if separator == ":" && inner.starts_with("//") {
                return None;
            }
            let content = inner.trim_start_matches([' ', '\t']);
            let mut value = value_at(text, at(content), self)?;
            let is_open = !content.starts_with(['"', '\'', '\\', '|', '>']);
            value.is_spaced = separator == ":" && content.len() < inner.len() && is_open;
            return Some(value);
        }
        if is_quoted {
            return self.beside(at(behind));
        }
        let is_flag = text[..self.start].ends_with('-') || text[self.start..].starts_with('-');
        if is_apart && is_flag && !tail.starts_with('-') {
            let mut value = value_at(text, at(tail), self)?;
            value.is_option = true;
            return Some(value);
        }
        // `PASSWORD 'x'` of SQL, `password "x"` and `API key provided: x` as programs say it.
        let name = text[self.start..self.end].to_ascii_lowercase();
        let is_password = ["password", "passwd", "passphrase"]
            .iter()
            .any(|end| name.ends_with(end));
        let said = if is_apart {
            without_participle(tail)
        } else {
            ""
        };
        let is_quoted = said.trim_start_matches('\\').starts_with(['\'', '"', '`']);
        if !is_quoted && said.len() == tail.len() {
            return None;
        }
        if is_quoted {
            let mut value = value_at(text, at(said), self)?;
            value.is_said = !is_password;
            return Some(value);
        }
        let word = ahead(text, at(said));
        let len = word.find(ends_word).unwrap_or(word.len());
        let mut value = Value::of(at(said)..at(said) + len);
        value.is_said = true;
        Some(value)
    }

    /// The content of an XML element with this name, or of one that has the name as an attribute.
    fn element(&self) -> Option<Range<usize>> {
        let before = behind(self.text, self.start);
        let prefix = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == ':');
        let is_element = prefix.ends_with('<');
        let rest = ahead(self.text, self.end);
        let quoted = rest.trim_start_matches('\\');
        let is_attribute = quoted.starts_with(['"', '\'']) && quoted[1..].starts_with('>');
        if !is_element && !is_attribute {
            return None;
        }
        let open = rest.find('>').filter(|n| *n < 200)?;
        if rest[..open].ends_with('/') || rest[..open].contains('<') {
            return None;
        }
        let start = self.end + open + 1;
        let len = ahead(self.text, start).find('<')?;
        Some(trimmed(self.text, start..start + len))
    }

    /// The value beside a quoted name: `key="password" value="x"`, `"name":"PASSWORD","value":"x"`,
    /// `define('PASSWORD', 'x')`.
    fn beside(&self, from: usize) -> Option<Value> {
        let rest = &self.text[from..];
        let skip = |c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '\\');
        let tail = rest.trim_start_matches(skip);
        let at = |part: &str| self.text.len() - part.len();
        if let Some(inner) = tail.strip_prefix("value") {
            let inner = inner.trim_start_matches(['"', '\'', '\\', ' ']);
            let inner = inner.strip_prefix([':', '='])?.trim_start();
            return value_at(self.text, at(inner), self);
        }
        let next = rest.strip_prefix(',')?.trim_start();
        // A list of names is not a name and its value.
        let is_call = self.text[..self.start]
            .trim_end_matches(['"', '\'', ' '])
            .ends_with('(');
        (is_call && next.starts_with(['"', '\''])).then(|| value_at(self.text, at(next), self))?
    }

    /// Whether the name is the first word of a line among others.
    fn begins_line(&self) -> bool {
        let before = behind(self.text, self.start);
        let line = before.rfind('\n').map(|n| n + 1).unwrap_or(0);
        let is_first = before[line..]
            .trim_start_matches("export ")
            .trim()
            .is_empty();
        is_first && (line > 0 || ahead(self.text, self.end).contains('\n'))
    }
}

/// The value that begins at a position: quoted, a YAML block, or a word.
fn value_at(text: &str, start: usize, place: &Place<'_>) -> Option<Value> {
    let rest = &text[start..];
    let escapes = rest.len() - rest.trim_start_matches('\\').len();
    let opening = rest[escapes..].chars().next()?;
    if matches!(opening, '"' | '\'' | '`') {
        let from = start + escapes + 1;
        let end = closing(text, from, opening, escapes);
        return Some(Value::of(from..end));
    }
    if matches!(opening, '|' | '>')
        && let Some(range) = yaml_block(text, start, place.start)
    {
        return Some(Value::of(range));
    }
    if matches!(opening, '[' | '{' | '(' | ',' | ';' | ')' | '}' | '\n') {
        return None;
    }
    let mut from = start;
    for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
        if rest.starts_with(scheme) {
            from += scheme.len();
        }
    }
    let word = ahead(text, from);
    let len = if place.begins_line() {
        // In a file of settings the value is the rest of the line.
        let line = word.lines().next().unwrap_or("");
        let comment = line.find(" #").unwrap_or(line.len());
        line[..comment]
            .trim_end()
            .trim_end_matches([';', ','])
            .len()
    } else {
        // A longer one is masked up to the end of the text.
        word.find(ends_word).unwrap_or(text.len() - from)
    };
    Some(Value::of(from..from + len))
}

/// `provided: x` behind a name.
fn without_participle(tail: &str) -> &str {
    let word = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(0);
    let is_participle = [
        "provided", "supplied", "received", "given", "used", "sent", "was",
    ]
    .contains(&&tail[..word]);
    if is_participle {
        tail[word..].trim_start_matches([':', '=', ' '])
    } else {
        tail
    }
}

fn ends_word(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | ',' | ';' | '&' | '}' | ')' | ']' | '\\' | '<'
        )
}

/// Where a quoted value ends: at the quote with as many escapes as the first one; else at the end
/// of the text, which was cut.
fn closing(text: &str, from: usize, quote: char, escapes: usize) -> usize {
    let inner = &text[from..];
    for (at, _) in inner.match_indices(quote) {
        let before = &inner[..at];
        let count = before.len() - before.trim_end_matches('\\').len();
        let closes = if escapes == 0 {
            count.is_multiple_of(2)
        } else {
            count <= escapes
        };
        if closes {
            return from + at - count.min(escapes);
        }
    }
    text.len()
}

/// The lines below `|` or `>` that are indented more than the name.
fn yaml_block(text: &str, start: usize, name: usize) -> Option<Range<usize>> {
    let mut lines = text[start..].split_inclusive('\n');
    let head = lines.next()?;
    if !head.ends_with('\n') || head.trim_end().len() > 3 {
        return None;
    }
    let line = behind(text, name);
    let indent = line.len() - line.rfind('\n').map(|n| n + 1).unwrap_or(0);
    let from = start + head.len();
    let mut end = from;
    for line in lines {
        let depth = line.len() - line.trim_start().len();
        if !line.trim().is_empty() && depth <= indent {
            break;
        }
        end += line.len();
    }
    Some(trimmed(text, from..end))
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = &text[range.clone()];
    let start = range.start + (inner.len() - inner.trim_start().len());
    start..start + inner.trim().len()
}

/// Whether a value stands for a secret that is not there.
pub(super) fn is_placeholder(value: &str) -> bool {
    let bare = value.trim_matches(['"', '\'', '\\', ' ']);
    let is_word = [
        "null",
        "nil",
        "none",
        "true",
        "false",
        "yes",
        "no",
        "undefined",
        "redacted",
        "required",
        "masked",
        "hidden",
        "invalid",
        "missing",
        "expired",
        "set",
        "empty",
        "(none)",
    ]
    .iter()
    .any(|w| bare.eq_ignore_ascii_case(w));
    bare.is_empty()
        || is_word
        || bare.starts_with(MASK)
        || (bare.starts_with('<') && bare.ends_with('>'))
        || [
            "${",
            "$(",
            "{{",
            "[REDACTED",
            "<redacted",
            super::hash::PREFIX,
        ]
        .iter()
        .any(|p| bare.starts_with(p))
}

/// A path to a secret is not the secret.
fn is_path(value: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b);
    value.starts_with('/')
        && value[1..].contains(|c: char| c.is_ascii_lowercase())
        && value.bytes().all(is_part)
}

/// `token: unexpected status`: a message follows, not a value.
fn is_message(text: &str, value: &Range<usize>) -> bool {
    let word = &text[value.clone()];
    let is_word = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    is_word && text[value.end..].starts_with([' ', ':'])
}
