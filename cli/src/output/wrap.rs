//! Lines that fit the terminal. Commands are never wrapped: they are copied.

/// Narrower terminals are taken for this wide.
const MIN_WIDTH: usize = 40;

/// The width that lines have to fit: the variable `COLUMNS`, else that of the terminal; `None`
/// where lines may have any length.
pub(super) fn width(terminal: bool) -> Option<usize> {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let own = || {
        let width = terminal
            .then(|| comfy_table::Table::new().width())
            .flatten();
        width.map(usize::from)
    };
    set.or_else(own).map(|width: usize| width.max(MIN_WIDTH))
}

/// A text in lines of at most `width` characters, broken between words; all are indented, and those
/// that continue one a little more.
pub(super) fn wrapped(text: &str, indent: usize, width: Option<usize>) -> Vec<String> {
    let start = " ".repeat(indent);
    let Some(width) = width else {
        return vec![format!("{start}{text}")];
    };
    let mut lines = Vec::new();
    let mut line = start.clone();
    let mut is_empty = true;
    // Several spaces stand between the columns of a line, and stay there.
    for word in text.split(' ') {
        let needed = line.chars().count() + 1 + word.chars().count();
        if !is_empty && needed > width && !word.is_empty() {
            lines.push(line.trim_end().to_owned());
            line = format!("{start}  {word}");
        } else if is_empty {
            line.push_str(word);
        } else {
            line.push(' ');
            line.push_str(word);
        }
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let text = "12:00  Pod a  the quick brown fox jumps over the lazy dog";
        let lines = wrapped(text, 2, Some(40));
        assert_eq!(
            lines,
            [
                "  12:00  Pod a  the quick brown fox",
                "    jumps over the lazy dog"
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 40));
        assert_eq!(wrapped(text, 2, None), [format!("  {text}")]);
        let long = "x".repeat(60);
        assert_eq!(wrapped(&long, 0, Some(40)), [long]);
    }
}
