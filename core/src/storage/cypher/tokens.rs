//! Splits a statement into words and symbols.

/// Words and symbols; strings and quoted names are reduced to a quote, comments are left out.
pub(super) fn tokens(text: &str) -> Result<Vec<String>, &'static str> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                skip_string(&mut chars, c)?;
                tokens.push("\"".to_owned());
            }
            '`' => {
                skip_name(&mut chars)?;
                tokens.push("`".to_owned());
            }
            '/' if chars.peek() == Some(&'/') => {
                while chars.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
            }
            '/' if chars.peek() == Some(&'*') => skip_comment(&mut chars)?,
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                tokens.push(word);
            }
            c if c.is_whitespace() => {}
            c => tokens.push(c.to_string()),
        }
    }
    Ok(tokens)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_string(chars: &mut Chars<'_>, quote: char) -> Result<(), &'static str> {
    while let Some(c) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Ok(());
        }
    }
    Err("unterminated string")
}

fn skip_name(chars: &mut Chars<'_>) -> Result<(), &'static str> {
    while let Some(c) = chars.next() {
        // A doubled backtick stands for itself.
        if c == '`' && chars.next_if_eq(&'`').is_none() {
            return Ok(());
        }
    }
    Err("unterminated quoted name")
}

fn skip_comment(chars: &mut Chars<'_>) -> Result<(), &'static str> {
    chars.next();
    while let Some(c) = chars.next() {
        if c == '*' && chars.next_if_eq(&'/').is_some() {
            return Ok(());
        }
    }
    Err("unterminated comment")
}

/// Whether the token after `previous` is a name: properties, labels, relation types and parameters
/// may be called like a keyword.
pub(super) fn is_name(previous: &str) -> bool {
    matches!(previous, "." | ":" | "$" | "|" | "&" | "!")
}
