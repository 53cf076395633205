//! Commands for people to type. What records say enters a command only as a whole word or a part of
//! one, and every word is quoted for the shell.

mod name;

use std::fmt::{self, Write};

use serde_json::Value;

/// A command line: the words that the shell shall read, some still open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command(Vec<Word>);

/// One word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// What joins two commands: `&&`, `|` or `>`.
    Operator(String),
    Plain(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What the reader has to put in, such as `more` for `<more>`.
    Open(String),
}

/// What joins commands in a template.
const OPERATORS: [&str; 3] = ["&&", "|", ">"];

impl Command {
    /// Reads a template of this program: words as the shell reads them, with `<placeholders>`.
    pub fn of(template: &str) -> Self {
        let words = shlex::split(template).unwrap_or_default();
        let word = |word: String| {
            if OPERATORS.contains(&word.as_str()) {
                Word::Operator(word)
            } else {
                Word::Plain(pieces(&word))
            }
        };
        Self(words.into_iter().map(word).collect())
    }

    /// A command of complete words.
    pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let plain = |word: &str| Word::Plain(vec![Piece::Text(word.to_owned())]);
        Self(words.into_iter().map(plain).collect())
    }

    /// Puts values in the place of placeholders. Without a namespace, `-n <namespace>` is left out.
    /// A value that no object can have, and that a command might take for an option, a path or a
    /// line of its own, leaves no command at all.
    #[must_use]
    pub fn fill<'a>(self, values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut filled = self;
        for (name, value) in values {
            if name == "namespace" && value.is_empty() {
                filled.drop_namespace();
            } else if !filled.put(name, value) {
                return Self::default();
            }
        }
        filled
    }

    fn drop_namespace(&mut self) {
        self.drop_option("namespace");
    }

    /// Leaves out an option whose value is open, such as `-c <container>`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.drop_option(name);
        self
    }

    fn drop_option(&mut self, name: &str) {
        let open = Word::Plain(vec![Piece::Open(name.to_owned())]);
        while let Some(at) = self.0.iter().position(|word| *word == open) {
            let from = at.saturating_sub(1);
            self.0.drain(from..=at);
        }
    }

    /// Returns false if the value is not safe.
    fn put(&mut self, name: &str, value: &str) -> bool {
        let is_wrong = value.chars().any(char::is_control) || !name::may_be(name, value);
        for word in &mut self.0 {
            let Word::Plain(pieces) = word else { continue };
            let is_json = is_json(pieces);
            for at in 0..pieces.len() {
                if !matches!(&pieces[at], Piece::Open(open) if open == name) {
                    continue;
                }
                if is_wrong || value.is_empty() || at == 0 && value.starts_with('-') {
                    return false;
                }
                let is_quoted = matches!(
                    at.checked_sub(1).map(|before| &pieces[before]),
                    Some(Piece::Text(before)) if before.ends_with('"')
                );
                let text = if is_json {
                    in_json(value, is_quoted)
                } else {
                    value.to_owned()
                };
                pieces[at] = Piece::Text(text);
            }
        }
        true
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names of the placeholders, in order.
    pub fn open(&self) -> Vec<&str> {
        let pieces = self.0.iter().filter_map(|word| match word {
            Word::Plain(pieces) => Some(pieces),
            Word::Operator(_) => None,
        });
        let names = pieces.flatten().filter_map(|piece| match piece {
            Piece::Open(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        });
        names.collect()
    }

    /// The words as the program gets them, placeholders as they are shown.
    pub fn arguments(&self) -> Vec<String> {
        self.0.iter().map(Word::text).collect()
    }

    /// Adds complete words.
    #[must_use]
    pub fn with<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.extend(Self::words(words).0);
        self
    }

    /// Puts complete words before the first one that equals `before`, else at the end.
    #[must_use]
    pub fn with_before(mut self, before: &str, words: &[&str]) -> Self {
        let at = self.0.iter().position(|word| word.text() == before);
        let at = at.unwrap_or(self.0.len());
        self.0.splice(at..at, Self::words(words.iter().copied()).0);
        self
    }
}

impl Word {
    /// As the program gets it.
    fn text(&self) -> String {
        match self {
            Self::Operator(operator) => operator.clone(),
            Self::Plain(pieces) => pieces.iter().map(Piece::text).collect(),
        }
    }
}

impl Piece {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Open(name) => format!("<{name}>"),
        }
    }
}

/// The texts and placeholders of a word of a template.
fn pieces(word: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some((before, name, after)) = placeholder(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(Piece::Open(name.to_owned()));
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('<')?;
    let (name, after) = rest.split_once('>')?;
    let is_name = |c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '_');
    (!name.is_empty() && name.chars().all(is_name)).then_some((before, name, after))
}

fn is_json(pieces: &[Piece]) -> bool {
    matches!(pieces.first(), Some(Piece::Text(text)) if text.starts_with(['{', '[']))
}

/// A value within JSON: between the quotes of a text, or as a value of its own.
fn in_json(value: &str, is_quoted: bool) -> String {
    let text = Value::from(value).to_string();
    if is_quoted {
        return text[1..text.len() - 1].to_owned();
    }
    match serde_json::from_str::<Value>(value) {
        Ok(_) => value.to_owned(),
        Err(_) => text,
    }
}

/// One word for the shell. All texts of records that enter a command go through here.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    enclosed(text)
}

fn enclosed(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(operator) => f.write_str(operator),
            // A patch stays one piece that can be edited.
            Self::Plain(pieces) if is_json(pieces) => f.write_str(&quoted(&self.text())),
            // A shell may expand a word that begins with `=`.
            Self::Plain(_) if self.text().starts_with('=') => f.write_str(&enclosed(&self.text())),
            Self::Plain(pieces) => pieces.iter().try_for_each(|piece| match piece {
                Piece::Text(text) => f.write_str(&quoted(text)),
                Piece::Open(_) => f.write_str(&piece.text()),
            }),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, word) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{word}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
