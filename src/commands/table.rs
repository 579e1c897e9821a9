//! Tables: aligned and cut to fit a terminal, or whole and with tabs for a program.

use unicode_width::UnicodeWidthStr;

use crate::terminal::{Colour, Terminal, cut};

/// Between two columns.
const GAP: &str = "  ";
/// A column that is narrower tells nothing: it is never cut below this.
const LEAST_WIDTH: usize = 6;
/// A column that is as wide tells enough to do without the rest: `02:00:03 (14m)`.
const ENOUGH_WIDTH: usize = 14;
/// What a program reads where there is nothing to tell: no column is ever missing.
const NOTHING: &str = "-";

/// How a cell stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    /// Not at all.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Notable,
    /// Wrong.
    Bad,
    /// Of less importance.
    Faint,
}

/// One cell. Its text has no control characters: `message::escape` has seen to that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// A cell that stands out as `look`.
    #[must_use]
    pub(super) fn new(text: impl Into<String>, look: Look) -> Cell {
        let text = text.into();
        Cell { text, look }
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::new(text, Look::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Look::Plain)
    }
}

/// A row for a program: all of each cell, with tabs between.
#[must_use]
pub(super) fn tabs(row: &[Cell]) -> String {
    let whole = |cell: &Cell| match cell.text.as_str() {
        "" => NOTHING.to_owned(),
        text => text.to_owned(),
    };
    row.iter().map(whole).collect::<Vec<_>>().join("\t")
}

/// The header for a program.
#[must_use]
pub(super) fn tabbed_header<const N: usize>(header: [&str; N]) -> String {
    header.join("\t")
}

/// The lines of a table for a terminal, the header first. A table that is too
/// wide loses the ends of its widest cells; before they would tell too little,
/// it loses its last columns, but not the first `wanted`.
#[must_use]
pub(super) fn lines<const N: usize>(
    header: [&str; N],
    rows: &[[Cell; N]],
    wanted: usize,
    terminal: &Terminal,
) -> Vec<String> {
    let mut widths = natural(header, rows);
    widths.truncate(shown(&widths, wanted, terminal.size.columns));
    let widths = fitting(widths, terminal.size.columns);
    let header = header.map(|text| Cell::new(text, Look::Faint));
    let all = std::iter::once(&header).chain(rows);
    all.map(|row| line(row, &widths, terminal)).collect()
}

/// How wide a table is as long as nothing has to be cut.
#[must_use]
pub(super) fn width<const N: usize>(header: [&str; N], rows: &[[Cell; N]]) -> usize {
    natural(header, rows).iter().sum::<usize>() + gaps(N)
}

/// `text` in the colour of `look`.
#[must_use]
pub(super) fn paint(text: &str, look: Look, colour: Colour) -> String {
    let code = match (colour, look) {
        (Colour::No, _) | (_, Look::Plain) => return text.to_owned(),
        _ if text.is_empty() => return String::new(),
        (_, Look::Good) => 32,
        (_, Look::Notable) => 33,
        (_, Look::Bad) => 31,
        (_, Look::Faint) => 2,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The width of the widest cell of each column.
fn natural<const N: usize>(header: [&str; N], rows: &[[Cell; N]]) -> Vec<usize> {
    let column = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.fold(header[column].width(), usize::max)
    };
    (0..N).map(column).collect()
}

fn gaps(columns: usize) -> usize {
    GAP.len() * columns.saturating_sub(1)
}

/// How many columns of a table are shown, the last being those that are left out.
fn shown(widths: &[usize], wanted: usize, columns: usize) -> usize {
    let enough = |count: usize| {
        let widths = widths[..count]
            .iter()
            .map(|width| (*width).min(ENOUGH_WIDTH));
        widths.sum::<usize>() + gaps(count)
    };
    let mut counts = (wanted..=widths.len()).rev();
    counts
        .find(|count| enough(*count) <= columns)
        .unwrap_or(wanted)
}

/// The widths that fit into `columns`: the widest give way first.
fn fitting(mut widths: Vec<usize>, columns: usize) -> Vec<usize> {
    let room = columns.saturating_sub(gaps(widths.len()));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > LEAST_WIDTH => *widest -= 1,
            _ => break,
        }
    }
    widths
}

fn line<const N: usize>(row: &[Cell; N], widths: &[usize], terminal: &Terminal) -> String {
    let mut line = String::new();
    let mut left = terminal.size.columns;
    let last = row[..widths.len()]
        .iter()
        .rposition(|cell| !cell.text.is_empty());
    for (number, (cell, width)) in row.iter().zip(widths).enumerate() {
        let gap = if number == 0 { "" } else { GAP };
        // Where even the least widths do not fit, the last columns are left out.
        let Some(room) = left.checked_sub(gap.len()).filter(|room| *room > 0) else {
            break;
        };
        let text = cut(&cell.text, (*width).min(room));
        let used = text.width();
        line.push_str(gap);
        line.push_str(&paint(&text, cell.look, terminal.colour));
        if Some(number) == last {
            break;
        }
        let padding = (*width).min(room).saturating_sub(used);
        line.extend(std::iter::repeat_n(' ', padding));
        left = room.saturating_sub(used + padding);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Size;

    fn terminal(columns: usize) -> Terminal {
        Terminal {
            size: Size { rows: 24, columns },
            colour: Colour::No,
        }
    }

    fn rows() -> [[Cell; 3]; 2] {
        [
            ["backup".into(), "held".into(), "root@web3 pid 4121".into()],
            ["深夜".into(), "free".into(), "".into()],
        ]
    }

    const HEADER: [&str; 3] = ["NAME", "STATE", "HOLDER"];

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_on_the_screen() {
        let expected = "NAME    STATE  HOLDER\n\
                        backup  held   root@web3 pid 4121\n\
                        深夜    free";
        assert_eq!(
            lines(HEADER, &rows(), 3, &terminal(80)).join("\n"),
            expected
        );
    }

    #[test]
    fn the_widest_column_gives_way_and_no_line_is_wider_than_the_terminal() {
        let narrow = lines(HEADER, &rows(), 3, &terminal(25)).join("\n");
        let expected = "NAME    STATE  HOLDER\n\
                        backup  held   root@web3…\n\
                        深夜    free";
        assert_eq!(narrow, expected);
        for columns in 1..40 {
            for line in lines(HEADER, &rows(), 3, &terminal(columns)) {
                assert!(line.width() <= columns, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn the_last_columns_are_left_out_before_the_others_tell_too_little() {
        let header = ["NAME", "STATE", "HOLDER", "SKIPS"];
        let rows = [
            [
                "backup".into(),
                "held".into(),
                "root@web3 pid 4121".into(),
                "12".into(),
            ],
            ["x".into(), "free".into(), "".into(), "3".into()],
        ];
        let shown = |wanted, columns| lines(header, &rows, wanted, &terminal(columns)).join("\n");
        let all = "NAME    STATE  HOLDER          SKIPS\n\
                   backup  held   root@web3 pid…  12\n\
                   x       free                   3";
        assert_eq!(shown(2, 36), all);
        let without_skips = "NAME    STATE  HOLDER\n\
                             backup  held   root@web3 pid 4121\n\
                             x       free";
        assert_eq!(shown(2, 35), without_skips);
        assert_eq!(shown(2, 20), "NAME    STATE\nbackup  held\nx       free");
        let wanted = "NAME    STATE  HOLD…\nbackup  held   root…";
        assert!(shown(3, 20).starts_with(wanted), "{}", shown(3, 20));
        assert!(shown(4, 35).contains("SKIPS"));
        for (wanted, columns) in (0..=4).flat_map(|wanted| (1..40).map(move |it| (wanted, it))) {
            for line in shown(wanted, columns).lines() {
                assert!(line.width() <= columns, "{columns}: {line:?}");
            }
        }
    }

    #[test]
    fn a_program_gets_every_column_whole() {
        let [_, free] = rows();
        assert_eq!(tabs(&free), "深夜\tfree\t-");
        assert_eq!(tabbed_header(HEADER), "NAME\tSTATE\tHOLDER");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut terminal = terminal(80);
        terminal.colour = Colour::Yes;
        let rows = [["a".into(), Cell::new("held", Look::Good)]];
        let lines = lines(["N", "STATE"], &rows, 2, &terminal);
        assert_eq!(lines[0], "\x1b[2mN\x1b[0m  \x1b[2mSTATE\x1b[0m");
        assert_eq!(lines[1], "a  \x1b[32mheld\x1b[0m");
    }
}
