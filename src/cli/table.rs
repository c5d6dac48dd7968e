//! Lists: tables that fit the terminal, or JSON.

use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Rows kept before the widths are settled; later rows use the same.
const LOOKED_AT: usize = 500;
/// No column gets narrower than this.
const NARROWEST: usize = 8;
const GAP: &str = "  ";

/// Columns of a terminal on standard output; `None` where it is none.
pub(super) fn stdout_width() -> Option<usize> {
    let terminal = std::io::stdout().is_terminal();
    let width = terminal.then(terminal_size::terminal_size).flatten()?.0.0;
    Some(usize::from(width))
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Style {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Writes a list for programs.
pub(super) fn write_json(list: &impl Serialize, out: &mut impl Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, list)?;
    writeln!(out)
}

/// Rows in aligned columns, in constant memory.
pub(super) struct Table {
    /// Titles first.
    rows: Vec<Vec<String>>,
    /// Settled with the first rows.
    widths: Option<Vec<usize>>,
    /// `None`: as wide as it takes.
    limit: Option<usize>,
}

impl Table {
    /// A table with these titles, no wider than `limit`.
    pub(super) fn new(titles: &[&str], limit: Option<usize>) -> Self {
        let titles = titles.iter().map(|&title| title.to_owned()).collect();
        Self { rows: vec![titles], widths: None, limit }
    }

    /// Adds a row; may write rows.
    pub(super) fn add(&mut self, out: &mut impl Write, row: &[String]) -> std::io::Result<()> {
        self.rows.push(row.to_vec());
        if self.rows.len() > LOOKED_AT { self.flush(out) } else { Ok(()) }
    }

    /// Writes all rows that wait; nothing for a table without rows.
    pub(super) fn flush(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        if self.widths.is_none() && self.rows.len() == 1 {
            return Ok(());
        }
        let widths = self.widths.get_or_insert_with(|| widths(&self.rows, self.limit));
        for row in self.rows.drain(..) {
            let cells: Vec<String> = row.iter().zip(widths.iter()).map(|(cell, &width)| fit(cell, width)).collect();
            writeln!(out, "{}", cells.join(GAP).trim_end())?;
        }
        Ok(())
    }
}

/// The widest cell of each column; the widest columns give way to the limit.
fn widths(rows: &[Vec<String>], limit: Option<usize>) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max();
    let mut widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let Some(limit) = limit else { return widths };
    let limit = limit.saturating_sub(GAP.len() * columns.saturating_sub(1));
    while widths.iter().sum::<usize>() > limit {
        match widths.iter_mut().max() {
            Some(width) if *width > NARROWEST => *width -= 1,
            _ => break,
        }
    }
    widths
}

/// `cell`, cut or filled up to `width`.
fn fit(cell: &str, width: usize) -> String {
    let cell: String = cell.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    if length(&cell) <= width {
        return format!("{cell:<width$}");
    }
    let kept: String = cell.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: Option<usize>, rows: &[[&str; 2]]) -> String {
        let (mut table, mut out) = (Table::new(&["NAME", "MEANING"], limit), Vec::new());
        for row in rows {
            table.add(&mut out, &row.map(str::to_owned)).unwrap();
        }
        table.flush(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(table(None, &[["abcdef", "x"], ["b", "y"]]), "NAME    MEANING\nabcdef  x\nb       y\n");
    }

    #[test]
    fn the_widest_column_gives_way() {
        let shown = table(Some(30), &[["short", "a text that is too long for the terminal"]]);
        assert!(shown.lines().all(|line| length(line) <= 30), "{shown}");
        assert!(shown.contains("short  a text that is too lon…"), "{shown}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!table(None, &[["a\u{1b}[2J", "x\ny"]]).contains('\u{1b}'));
    }

    #[test]
    fn nothing_is_written_for_no_rows() {
        assert_eq!(table(None, &[]), "");
    }

    #[test]
    fn many_rows_are_written_as_they_come() {
        let rows = vec![["a", "b"]; 3 * LOOKED_AT];
        assert_eq!(table(None, &rows).lines().count(), 3 * LOOKED_AT + 1);
    }
}
