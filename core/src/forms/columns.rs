//! Tables whose cells stand below their headings.

/// A heading and where it begins, in characters.
struct Heading {
    name: String,
    start: usize,
}

/// The headings of a table.
pub(super) struct Columns(Vec<Heading>);

impl Columns {
    /// Headings are divided by two or more spaces; `None` when a line is no head of a table.
    pub(super) fn of(line: &str) -> Option<Self> {
        let mut all: Vec<Heading> = Vec::new();
        let (mut spaces, mut has_begun) = (0, false);
        for (at, c) in line.chars().enumerate() {
            if c == ' ' || c == '\t' {
                spaces += if c == '\t' { 2 } else { 1 };
                continue;
            }
            match all.last_mut().filter(|_| has_begun && spaces < 2) {
                Some(heading) => {
                    heading.name.extend((spaces > 0).then_some(' '));
                    heading.name.push(c);
                }
                None => all.push(Heading {
                    name: c.to_string(),
                    start: at,
                }),
            }
            (spaces, has_begun) = (0, true);
        }
        (all.len() > 1).then_some(Self(all))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|h| h.name == name)
    }

    /// The cells of a row. Where text was moved, as when it was pasted, cells are what two spaces
    /// divide.
    pub(super) fn row(&self, line: &str) -> Row<'_> {
        let chars: Vec<char> = line.chars().collect();
        let is_aligned = self.0.iter().skip(1).all(|h| {
            let before = chars.get(h.start.saturating_sub(1));
            before.copied().unwrap_or(' ').is_whitespace()
        });
        let cells = if is_aligned {
            let starts = self.0.iter().map(|h| h.start);
            let ends = self.0.iter().skip(1).map(|h| h.start).chain([usize::MAX]);
            starts
                .zip(ends)
                .map(|(start, end)| {
                    let cell: String = chars
                        .iter()
                        .skip(start)
                        .take(end.saturating_sub(start))
                        .collect();
                    cell.trim().to_owned()
                })
                .collect()
        } else {
            divided(line, self.0.len())
        };
        Row {
            columns: self,
            cells,
        }
    }
}

/// The parts of a line that two or more spaces or a tab divide; the last of `most` parts is the
/// rest.
fn divided(line: &str, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = line.trim();
    while parts.len() + 1 < most {
        let end = [rest.find("  "), rest.find('\t')]
            .into_iter()
            .flatten()
            .min();
        let Some(end) = end else { break };
        parts.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    parts.push(rest.to_owned());
    parts
}

/// A row of a table.
pub(super) struct Row<'a> {
    columns: &'a Columns,
    cells: Vec<String>,
}

impl Row<'_> {
    /// The cell below a heading; `None` when it is empty or `<none>`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = self.columns.0.iter().position(|h| h.name == name)?;
        let cell = self.cells.get(at)?.as_str();
        (!cell.is_empty() && cell != "<none>").then_some(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_their_headings() {
        let columns = Columns::of("NAME    READY   STATUS    RESTARTS      AGE").unwrap();
        let row = columns.row("api-1   0/1     Running   5 (3m ago)    10m");
        assert_eq!(row.get("RESTARTS"), Some("5 (3m ago)"));
        assert_eq!(
            (row.get("NAME"), row.get("AGE")),
            (Some("api-1"), Some("10m"))
        );
        let columns = Columns::of("LAST SEEN   TYPE      REASON   FROM   MESSAGE").unwrap();
        let row = columns.row("10s         Warning   Failed          Error: a  b");
        assert_eq!(
            (row.get("FROM"), row.get("MESSAGE")),
            (None, Some("Error: a  b"))
        );
    }

    #[test]
    fn cells_of_a_pasted_table_are_divided_by_two_spaces() {
        let columns = Columns::of("NAME  READY  STATUS").unwrap();
        let row = columns.row("a-long-name-0  0/1  Pending");
        assert_eq!(row.get("STATUS"), Some("Pending"));
        assert_eq!(row.get("READY"), Some("0/1"));
    }
}
