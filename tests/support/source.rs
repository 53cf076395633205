//! The workspace's own Rust files as tokens: which paths they name and which strings they hold.
//! Tests (`#[cfg(test)] mod …`) are left out.

use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::repository;

/// A source file.
pub struct Source {
    /// Relative to the repository: `core/src/rca/mod.rs`.
    pub file: String,
    /// Where it sits in its package: `["rca"]`; empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    tokens: Vec<TokenTree>,
}

/// A path that a file names, in full: `["crate", "graph", "Graph"]`, `["axum", "Json"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `self` and `super` are resolved to `crate::…`.
    pub path: Vec<String>,
    /// Where it stands.
    pub line: usize,
}

/// A string literal or a line of a doc comment.
#[derive(Clone, Debug)]
pub struct Text {
    /// As written in the source, with its escapes.
    pub text: String,
    /// Where it begins.
    pub line: usize,
    /// Whether it is a doc comment.
    pub doc: bool,
}

/// All Rust files below a folder of the repository, sorted by name.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&repository().join(folder), &mut found);
    found.sort_by(|a, b| a.file.cmp(&b.file));
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(repository()).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source::parse(&name.display().to_string(), &text));
        }
    }
}

impl Source {
    /// Reads the text of a file.
    ///
    /// # Panics
    /// When it is not Rust.
    pub fn parse(file: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{file}: {e}"));
        let inside = file.split_once("src/").map(|(_, path)| path);
        let mut module: Vec<String> = inside
            .unwrap_or(file)
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if matches!(
            module.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            module.pop();
        }
        Self {
            file: file.to_owned(),
            module,
            tokens: without_tests(tokens),
        }
    }

    /// Every path of two or more segments, those of `use` trees one by one.
    pub fn paths(&self) -> Vec<Named> {
        let mut found = Vec::new();
        paths(&self.tokens, &self.module, &mut found);
        found
    }

    /// Every string literal and doc comment.
    pub fn texts(&self) -> Vec<Text> {
        let mut found = Vec::new();
        texts(&self.tokens, &mut found);
        found
    }
}

/// Drops `#[cfg(test)]` together with the item behind it.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_test = is_punct(&token, '#')
            && matches!(tokens.peek(), Some(TokenTree::Group(g)) if cfg_test(g));
        if !is_test {
            kept.push(token);
            continue;
        }
        for token in tokens.by_ref() {
            let ends = match &token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                other => is_punct(other, ';'),
            };
            if ends {
                break;
            }
        }
    }
    kept
}

fn cfg_test(attribute: &Group) -> bool {
    attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == wanted)
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(name)) => Some(name.to_string()),
        _ => None,
    }
}

/// Whether `::` stands at a position.
fn colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| tokens.get(at).is_some_and(|t| is_punct(t, ':'));
    colon(at) && colon(at + 1)
}

fn paths(tokens: &[TokenTree], module: &[String], found: &mut Vec<Named>) {
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let named = at.checked_sub(1).and_then(|b| ident(tokens.get(b)));
            let is_module = at >= 2 && ident(tokens.get(at - 2)).as_deref() == Some("mod");
            match (is_module, named) {
                (true, Some(name)) => paths(&inner, &[module, &[name]].concat(), found),
                _ => paths(&inner, module, found),
            }
            at += 1;
            continue;
        }
        match ident(tokens.get(at)) {
            Some(word) if word == "use" => at = tree(tokens, at + 1, &[], module, found),
            Some(_) => at = tree(tokens, at, &[], module, found),
            None => at += 1,
        }
    }
}

/// Reads one path or `use` tree; returns the position behind it.
fn tree(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    module: &[String],
    found: &mut Vec<Named>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut line = 0;
    // Whether a segment may follow: at the beginning and behind `::`.
    let mut expects = true;
    loop {
        if colons(tokens, at) {
            at += 2;
            expects = true;
            continue;
        }
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) if expects => {
                path.push(name.to_string());
                line = name.span().start().line;
                expects = false;
                at += 1;
            }
            Some(TokenTree::Group(group)) if expects && group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in inner.split(|t| is_punct(t, ',')) {
                    if !branch.is_empty() {
                        tree(branch, 0, &path, module, found);
                    }
                }
                return at + 1;
            }
            _ => break,
        }
    }
    let path = resolve(&path, module);
    if path.len() > 1 {
        found.push(Named { path, line });
    }
    at
}

/// Replaces `self` and `super` at the head of a path by the module they stand for.
fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let mut base: Option<Vec<String>> = None;
    let mut rest = path;
    while let Some((head, tail)) = rest.split_first() {
        match head.as_str() {
            "self" => base = Some(base.unwrap_or_else(|| module.to_vec())),
            "super" => {
                let mut parent = base.unwrap_or_else(|| module.to_vec());
                parent.pop();
                base = Some(parent);
            }
            _ => break,
        }
        rest = tail;
    }
    match base {
        Some(base) => [&["crate".to_owned()][..], &base, rest].concat(),
        None => path.to_vec(),
    }
}

fn texts(tokens: &[TokenTree], found: &mut Vec<Text>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                texts(&inner, found);
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.contains('"') {
                    let doc = at >= 2 && ident(tokens.get(at - 2)).as_deref() == Some("doc");
                    found.push(Text {
                        text,
                        line: literal.span().start().line,
                        doc,
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(file: &str, text: &str) -> Vec<String> {
        let paths = Source::parse(file, text).paths();
        paths.iter().map(|n| n.path.join("::")).collect()
    }

    #[test]
    fn use_trees_expressions_and_macros_are_read() {
        let text = "use crate::a::{self, b::{C, D as E}, f::*};\n\
            use super::g;\n\
            fn x() -> axum::Json<u8> { json!({\"k\": crate::h::i(self::j)}) }\n\
            #[cfg(test)] mod tests { use crate::z::Z; }\n";
        assert_eq!(
            named("core/src/m/n.rs", text),
            [
                "crate::a::self",
                "crate::a::b::C",
                "crate::a::b::D",
                "crate::a::f",
                "crate::m::g",
                "axum::Json",
                "crate::h::i",
                "crate::m::n::j",
            ]
        );
    }

    #[test]
    fn super_counts_inline_modules() {
        assert_eq!(
            named("core/src/m.rs", "mod n { use super::super::k; }"),
            ["crate::k"]
        );
    }

    #[test]
    fn texts_are_strings_and_doc_comments() {
        let source = Source::parse("a.rs", "/// Doc.\nfn x() { f!(\"s {}\", b\"t\", 'c') }");
        let found = source.texts();
        let shown: Vec<_> = found.iter().map(|t| (t.line, t.doc)).collect();
        assert_eq!(shown, [(1, true), (2, false), (2, false)]);
    }
}
