//! Tables: aligned on a terminal, tab-separated in a pipe, quoted as CSV.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table as Pretty};

use super::escape;

/// A header and rows; the first column identifies a row.
#[derive(Clone, Debug, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.iter().map(|h| (*h).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// A table whose columns are only known at run time.
    pub fn of(header: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        Self {
            header,
            rows: rows.into_iter().collect(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(mut self, cells: [String; N]) -> Self {
        self.rows.push(cells.to_vec());
        self
    }

    /// Adds a row per item.
    pub fn rows<T, const N: usize>(
        mut self,
        items: impl IntoIterator<Item = T>,
        cells: impl Fn(T) -> [String; N],
    ) -> Self {
        self.rows
            .extend(items.into_iter().map(|i| cells(i).to_vec()));
        self
    }

    /// With aligned columns, for a terminal.
    pub fn pretty(&self) -> String {
        if self.rows.is_empty() {
            return "no results\n".to_owned();
        }
        let mut table = Pretty::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(self.header.iter().map(|h| escape::line(h).into_owned()));
        for row in &self.rows {
            table.add_row(row.iter().map(|c| escape::line(c).into_owned()));
        }
        let text: Vec<String> = table
            .to_string()
            .lines()
            .map(|l| l.trim_end().trim_start_matches(' ').to_owned())
            .collect();
        text.join("\n") + "\n"
    }

    /// Tab-separated and without a header, for a pipe.
    pub fn tabbed(&self) -> String {
        self.rows
            .iter()
            .map(|r| {
                let cells: Vec<_> = r.iter().map(|c| escape::line(c)).collect();
                cells.join("\t") + "\n"
            })
            .collect()
    }

    /// The first column, one cell per line.
    pub fn names(&self) -> String {
        self.rows
            .iter()
            .filter_map(|r| r.first())
            .map(|name| escape::line(name).into_owned() + "\n")
            .collect()
    }

    /// A table of Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let header = line(self.header.iter().map(|h| marked(h)).collect());
        let rule = line(self.header.iter().map(|_| "---".to_owned()).collect());
        let rows = self
            .rows
            .iter()
            .map(|row| line(row.iter().map(|c| marked(c)).collect()));
        header + &rule + &rows.collect::<String>()
    }

    /// CSV with a header, cells quoted where needed.
    pub fn csv(&self) -> String {
        let header = self
            .header
            .iter()
            .map(|h| quoted(&h.to_lowercase().replace(' ', "_")))
            .collect::<Vec<_>>()
            .join(",");
        let cell = |c: &String| quoted(c);
        let rows: String = self
            .rows
            .iter()
            .map(|r| r.iter().map(cell).collect::<Vec<_>>().join(",") + "\n")
            .collect();
        format!("{header}\n{rows}")
    }
}

/// A cell of Markdown: one line, with nothing that ends it or is markup.
fn marked(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    for c in escape::line(cell).chars() {
        if "\\`*_[]<>|#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A cell of CSV, quoted where needed: also for programs that take semicolons or tabs for separators.
fn quoted(cell: &str) -> String {
    let cell = escape::csv_cell(cell);
    if cell.contains([',', ';', '\t', '"', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_a_cell_of_markdown() {
        let table = Table::new(&["A", "B"]).row(["x|y".to_owned(), "`z`\n<b>".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| A | B |\n| --- | --- |\n| x\\|y | \\`z\\` \\<b\\> |\n"
        );
    }

    #[test]
    fn a_hostile_cell_stays_in_its_cell() {
        assert_eq!(quoted("x;=HYPERLINK(1)"), "\"x;=HYPERLINK(1)\"");
        let hostile = "a\u{1b}[2J\r\n\tb\u{202e}";
        let header = vec!["ID".to_owned(), hostile.to_owned()];
        let table = Table::of(header, [vec![hostile.to_owned(), "=1+1".to_owned()]]);
        for text in [table.pretty(), table.tabbed(), table.names(), table.csv()] {
            assert!(!escape::has_hidden(&text.replace('\t', "")), "{text:?}");
        }
        assert_eq!(table.pretty().lines().count(), 2);
        assert_eq!(table.tabbed().matches('\t').count(), 1);
        assert_eq!(table.tabbed().lines().count(), 1);
        assert!(table.csv().ends_with(",'=1+1\n"), "{}", table.csv());
    }
}
