//! Tables: aligned on a terminal, tab-separated in a pipe, quoted as CSV.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table as Pretty};

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
            .set_header(self.header.clone());
        for row in &self.rows {
            table.add_row(row);
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
                r.iter()
                    .map(|c| c.replace(['\t', '\n'], " "))
                    .collect::<Vec<_>>()
                    .join("\t")
                    + "\n"
            })
            .collect()
    }

    /// The first column, one cell per line.
    pub fn names(&self) -> String {
        self.rows
            .iter()
            .filter_map(|r| r.first())
            .flat_map(|n| [n.as_str(), "\n"])
            .collect()
    }

    /// CSV with a header, cells quoted where needed.
    pub fn csv(&self) -> String {
        let header = self
            .header
            .iter()
            .map(|h| h.to_lowercase().replace(' ', "_"))
            .collect::<Vec<_>>()
            .join(",");
        let cell = |c: &String| {
            if c.contains([',', '"', '\n']) {
                format!("\"{}\"", c.replace('"', "\"\""))
            } else {
                c.clone()
            }
        };
        let rows: String = self
            .rows
            .iter()
            .map(|r| r.iter().map(cell).collect::<Vec<_>>().join(",") + "\n")
            .collect();
        format!("{header}\n{rows}")
    }
}
