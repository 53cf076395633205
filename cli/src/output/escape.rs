//! Text from records is data: a character that a terminal, a spreadsheet or a reader's eye obeys is
//! printed as its number.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character is printed as its number: controls (escape sequences begin with one), those
/// that change the direction of text, and those that are not visible.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Text of several lines; only line breaks stay what they are.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_hidden(c) && c != '\n')
}

/// Text on one line: white space becomes blanks.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\t']) {
        return escaped(text, is_hidden);
    }
    let text = text.replace(['\n', '\t'], " ");
    Cow::Owned(escaped(&text, is_hidden).into_owned())
}

/// JSON with the escapes of JSON: hidden characters only occur within its strings.
pub fn json(text: &str) -> Cow<'_, str> {
    lines(text)
}

/// Whether text has characters that are printed as their numbers.
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(|c| is_hidden(c) && c != '\n')
}

/// A cell that a spreadsheet takes as text: one that begins like a formula gets an apostrophe.
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    // Some programs look for a formula behind spaces, or take wide characters for plain ones.
    let first = text.trim_start_matches(' ');
    let signs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let is_formula = first.starts_with(signs) || first.starts_with(char::is_control);
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    let cell = lines(text);
    if is_formula && !is_number && text != "-" {
        return Cow::Owned(format!("'{cell}"));
    }
    cell
}

/// Whether a word can be offered to a shell, which may run what a completion inserts.
pub fn is_safe_word(word: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "._:/@-".contains(c);
    !word.is_empty() && !word.starts_with('-') && word.chars().all(is_safe)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_and_invisible_character_is_printed_as_its_number() {
        let hidden = ('\0'..' ')
            .chain('\u{7f}'..='\u{9f}')
            .chain('\u{200b}'..='\u{200f}')
            .chain('\u{2028}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{ad}', '\u{feff}', '\u{e0041}']);
        for c in hidden {
            let text = format!("a{c}b");
            for shown in [line(&text), lines(&text), csv_cell(&text)] {
                let shown = shown.replace('\n', "");
                assert!(!shown.chars().any(is_hidden), "{c:?}: {shown:?}");
            }
        }
        assert_eq!(lines("\u{1b}]0;x\u{7}\n"), "\\u001b]0;x\\u0007\n");
        assert_eq!(line("a\tb\nc\r"), "a b c\\u000d");
        assert_eq!(line("größer → ✔ 日本"), "größer → ✔ 日本");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}[2J\u{202e}\u{e0041}\n"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(!has_hidden(&shown), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    #[test]
    fn cells_that_begin_like_a_formula_are_text() {
        for formula in [
            "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-inf", " =1", "＝1+1",
        ] {
            assert!(csv_cell(formula).starts_with('\''), "{formula:?}");
        }
        for plain in ["-1.5", "-", "+3", "a=b", ""] {
            assert_eq!(csv_cell(plain), plain);
        }
    }

    #[test]
    fn words_that_a_shell_could_run_are_not_offered() {
        for word in [
            "u$(id)", "a`b`", "a;b", "a b", "a'b", "a\nb", "", "-rf", "é",
        ] {
            assert!(!is_safe_word(word), "{word:?}");
        }
        for word in ["inc-12", "key_1", "app/web", "registry.io:5000/a@sha"] {
            assert!(is_safe_word(word), "{word:?}");
        }
    }
}
