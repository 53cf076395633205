//! Finds the secrets of a text: one automaton looks for all keywords at once, and a detector
//! runs only where its keyword was found.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::rules::RULES;
use super::{access_log, encoded, header, languages, manifest, pem, personal, url, value};

/// Parts of names of secrets. A longer word that contains one needs no entry.
const NAME_PARTS: [&str; 12] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "credential",
    "session",
    "sessid",
    "jwt",
    "psk",
    "signature",
];

/// What a keyword stands for.
#[derive(Clone, Copy, Debug)]
enum Needle {
    NamePart,
    Url,
    Pem,
    Email,
    Bearer,
    Authorization,
    Cookie,
    Manifest,
    Client,
    Port,
    /// A rule, by its index.
    Rule(usize),
}

struct Scanner {
    automaton: AhoCorasick,
    needles: Vec<Needle>,
}

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| {
    let mut words: Vec<&str> = Vec::new();
    let mut needles = Vec::new();
    let mut add = |word, needle| {
        words.push(word);
        needles.push(needle);
    };
    for part in NAME_PARTS {
        add(part, Needle::NamePart);
    }
    for word in languages::NEEDLES.iter() {
        add(word, Needle::NamePart);
    }
    for word in personal::CLIENT_WORDS {
        add(word, Needle::Client);
    }
    for (word, needle) in [
        ("://", Needle::Url),
        ("-----begin ", Needle::Pem),
        ("@", Needle::Email),
        ("bearer", Needle::Bearer),
        ("authorization", Needle::Authorization),
        ("cookie", Needle::Cookie),
        ("secret", Needle::Manifest),
        (" port ", Needle::Port),
    ] {
        add(word, needle);
    }
    for (at, rule) in RULES.iter().enumerate() {
        for keyword in &rule.keywords {
            add(keyword, Needle::Rule(at));
        }
    }
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(&words)
        // Building cannot fail for these few hundred words.
        .unwrap_or_else(|e| unreachable!("{e}"));
    Scanner { automaton, needles }
});

/// The secrets that were found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    ranges: Vec<Range<usize>>,
}

impl Found {
    pub(super) fn add(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.ranges.push(range);
        }
    }

    /// The ranges in order, joined where they overlap or touch, widened to whole characters.
    fn merged(mut self, text: &str) -> Vec<Range<usize>> {
        self.ranges.sort_unstable_by_key(|r| r.start);
        let mut out: Vec<Range<usize>> = Vec::with_capacity(self.ranges.len());
        for range in self.ranges {
            let range = text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end);
            match out.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => out.push(range),
            }
        }
        out
    }
}

/// How far a detector looks. Together with [`max_hits`] it bounds the time that a text takes.
pub(super) const REACH: usize = 4096;

/// The text behind a position, as far as a detector looks.
pub(super) fn ahead(text: &str, from: usize) -> &str {
    &text[from..text.floor_char_boundary((from + REACH).min(text.len()))]
}

/// The text before a position, as far as a detector looks.
pub(super) fn behind(text: &str, to: usize) -> &str {
    &text[text.ceil_char_boundary(to.saturating_sub(REACH))..to]
}

/// How many keywords a text may have; real ones have a tenth. A text with more is masked as a
/// whole: it was made to be slow.
fn max_hits(text: &str) -> usize {
    512 + text.len() / 64
}

/// How often text that is encoded in a text is decoded.
pub(super) const MAX_ENCODINGS: u8 = 2;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Secrets,
    /// Personal data too.
    All,
}

/// What to mask in a text, in order; `encodings` is how often it was decoded before.
pub(super) fn ranges(text: &str, what: What, encodings: u8) -> Vec<Range<usize>> {
    let mut found = Found::default();
    let (mut name_end, mut key_end, mut cookies_end) = (0, 0, 0);
    let mut is_manifest = false;
    let scanner = &*SCANNER;
    for (count, hit) in scanner.automaton.find_overlapping_iter(text).enumerate() {
        if count > max_hits(text) {
            return std::iter::once(0..text.len()).collect();
        }
        match scanner.needles[hit.pattern().as_usize()] {
            Needle::NamePart if hit.start() < name_end => {}
            Needle::NamePart => name_end = value::after(text, hit.range(), &mut found),
            Needle::Url => url::user(text, hit.end(), &mut found),
            Needle::Pem if hit.start() < key_end => {}
            Needle::Pem => key_end = pem::block(text, hit.start(), &mut found),
            Needle::Email | Needle::Client | Needle::Port if what == What::Secrets => {}
            Needle::Email => personal::email(text, hit.start(), &mut found),
            Needle::Bearer => header::bearer(text, hit.end(), &mut found),
            Needle::Authorization => header::authorization(text, hit.end(), &mut found),
            Needle::Cookie if hit.start() < cookies_end => {}
            Needle::Cookie => cookies_end = header::cookies(text, hit.end(), &mut found),
            Needle::Client => personal::client(text, hit.range(), &mut found),
            Needle::Port => personal::login(text, hit.start(), &mut found),
            Needle::Manifest => is_manifest = is_manifest || manifest::is_kind(text, hit.start()),
            Needle::Rule(at) => {
                if let Some(range) = RULES[at].secret(text, hit.range()) {
                    found.add(range);
                }
            }
        }
    }
    if is_manifest {
        manifest::data(text, &mut found);
    }
    if what == What::All {
        personal::cards(text, &mut found);
        access_log::clients(text, &mut found);
    }
    encoded::runs(text, encodings, &mut found);
    found.merged(text)
}
