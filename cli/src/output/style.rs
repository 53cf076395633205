//! Text with styles. Styles are added here only, so that text from elsewhere cannot bring its own.

use super::escape;

/// A style of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Titles.
    Bold,
    /// What matters less.
    Dim,
    /// A healthy state.
    Good,
    /// A cause, or an error.
    Bad,
    /// Something that needs a look.
    Unclear,
    /// A label of a hint.
    Hint,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "1;32",
            Self::Bad => "1;31",
            Self::Unclear => "1;33",
            Self::Hint => "1;36",
        }
    }
}

/// Text of several lines with styles.
#[derive(Clone, Debug, Default)]
pub struct Styled(Vec<Span>);

#[derive(Clone, Debug)]
struct Span {
    style: Option<Style>,
    text: String,
}

impl Styled {
    /// Adds text that may have line breaks.
    pub fn push(&mut self, text: &str) {
        self.add(None, escape::lines(text).into_owned());
    }

    /// Adds text in a style; it stays on one line.
    pub fn push_styled(&mut self, style: Style, text: &str) {
        self.add(Some(style), escape::line(text).into_owned());
    }

    /// Adds text that stays on one line, and a line break.
    pub fn push_line(&mut self, text: &str) {
        self.add(None, escape::line(text).into_owned() + "\n");
    }

    /// Adds another text.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn add(&mut self, style: Option<Style>, text: String) {
        self.0.push(Span { style, text });
    }

    /// The text with ANSI escapes, or without styles.
    pub fn render(&self, is_colored: bool) -> String {
        let span = |span: &Span| match span.style.filter(|_| is_colored) {
            Some(style) => format!("\u{1b}[{}m{}\u{1b}[0m", style.code(), span.text),
            None => span.text.clone(),
        };
        self.0.iter().map(span).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_styles_of_this_program_reach_a_terminal() {
        let mut text = Styled::default();
        text.push_styled(Style::Bad, "cause: \u{1b}[0mhealthy");
        text.push_line("a\u{1b}[1;32m\nb");
        assert_eq!(
            text.render(true),
            "\u{1b}[1;31mcause: \\u001b[0mhealthy\u{1b}[0ma\\u001b[1;32m b\n"
        );
        assert_eq!(
            text.render(false),
            "cause: \\u001b[0mhealthya\\u001b[1;32m b\n"
        );
    }
}
