//! Text in which indentation shows what belongs to what, as `kubectl describe` prints it.

/// A line with those that are indented below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// What stands before the colon; the whole line where there is none.
    pub key: &'a str,
    /// What stands behind it.
    pub value: &'a str,
    /// The line without its indentation.
    pub line: &'a str,
    pub children: Vec<Block<'a>>,
}

impl<'a> Block<'a> {
    /// The blocks of a text.
    pub(super) fn read(text: &'a str) -> Vec<Self> {
        let mut lines = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| (indentation(line), line.trim()))
            .peekable();
        blocks(&mut lines, 0, 0)
    }

    fn of(line: &'a str) -> Self {
        let (key, value) = match line.split_once(": ").or(line.split_once(":\t")) {
            Some((key, value)) => (key, value.trim()),
            None => (line.strip_suffix(':').unwrap_or(line), ""),
        };
        Self {
            key: key.trim(),
            value,
            line,
            children: Vec::new(),
        }
    }

    /// The child with a key.
    pub(super) fn child(&self, key: &str) -> Option<&Self> {
        find(&self.children, key)
    }

    /// The value of the child with a key, see [`value`].
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        value(&self.children, key)
    }

    /// What stands behind the colon and in the lines below.
    pub(super) fn values(&self) -> impl Iterator<Item = &'a str> + '_ {
        let below = self.children.iter().map(|c| c.line);
        std::iter::once(self.value)
            .chain(below)
            .filter(|v| !is_empty(v))
    }
}

/// The block with a key.
pub(super) fn find<'b, 'a>(blocks: &'b [Block<'a>], key: &str) -> Option<&'b Block<'a>> {
    blocks.iter().find(|b| b.key == key)
}

/// The value of the block with a key, unless it is empty, as `<none>` and `<unset>` are.
pub(super) fn value<'a>(blocks: &[Block<'a>], key: &str) -> Option<&'a str> {
    let value = find(blocks, key)?.value;
    (!is_empty(value)).then_some(value)
}

fn is_empty(value: &str) -> bool {
    matches!(value, "" | "<none>" | "<unset>" | "<nil>" | "<unknown>")
}

fn indentation(line: &str) -> usize {
    let of = |c| match c {
        ' ' => Some(1),
        '\t' => Some(8),
        _ => None,
    };
    line.chars().map_while(of).sum()
}

/// Deeper indentation is read as this depth.
const MAX_DEPTH: usize = 16;

fn blocks<'a, I: Iterator<Item = (usize, &'a str)>>(
    lines: &mut std::iter::Peekable<I>,
    at_least: usize,
    depth: usize,
) -> Vec<Block<'a>> {
    let mut all: Vec<Block<'a>> = Vec::new();
    let mut own = None;
    while let Some((indent, line)) = lines.peek().copied() {
        if indent < at_least {
            break;
        }
        let is_below = own.is_some_and(|own| indent > own) && depth < MAX_DEPTH;
        if let Some(parent) = all.last_mut().filter(|_| is_below) {
            let deeper = indent.min(own.unwrap_or(0) + 1);
            parent.children = blocks(lines, deeper, depth + 1);
        } else {
            own = Some(indent);
            all.push(Block::of(line));
            lines.next();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_shows_what_belongs_to_what() {
        let lines = [
            "Name:  a",
            "Labels:  app=a",
            "         tier=b",
            "Containers:",
            "  api:",
            "    Image:  x:1",
            "    State:  Waiting",
            "      Reason:  Crash",
            "  side:",
            "    Image:  y",
            "Events:  <none>",
        ];
        let text = lines.join("\n");
        let blocks = Block::read(&text);
        let keys: Vec<&str> = blocks.iter().map(|b| b.key).collect();
        assert_eq!(keys, ["Name", "Labels", "Containers", "Events"]);
        let labels: Vec<&str> = blocks[1].values().collect();
        assert_eq!(labels, ["app=a", "tier=b"]);
        let api = blocks[2].child("api").unwrap();
        assert_eq!(api.get("Image"), Some("x:1"));
        assert_eq!(api.child("State").unwrap().get("Reason"), Some("Crash"));
        assert_eq!(blocks[2].children[1].get("Image"), Some("y"));
        assert_eq!(value(&blocks, "Events"), None);
    }

    #[test]
    fn endless_indentation_ends() {
        let text: String = (0..5000).map(|n| " ".repeat(n) + "a:\n").collect();
        assert!(!Block::read(&text).is_empty());
    }
}
