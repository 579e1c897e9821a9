//! The past of a lock for people, and as columns.

use std::time::Duration;

use super::bar::bar;
use crate::commands::outcome;
use crate::commands::table::{self, Cell, Look, paint};
use crate::duration::show;
use crate::message::escape;
use crate::store::past::{History, PastRun};
use crate::terminal::Terminal;
use crate::wall::Wall;

/// How long the longest bar is, in characters: what the other columns leave, within these.
const BAR_WIDTH: (usize, usize) = (10, 40);
const HEADER: [&str; 6] = ["STARTED", "TOOK", "", "OUTCOME", "SKIPPED", "BY"];

/// A line that sums up, and a table with a bar for each run.
pub(super) fn table(
    name: &str,
    history: &History,
    wall: &Wall,
    terminal: &Terminal,
) -> Vec<String> {
    let mut lines = vec![summary(name, history)];
    if history.runs.is_empty() {
        return lines;
    }
    let longest = history.runs.iter().filter_map(|run| run.lasted).max();
    let longest = longest.unwrap_or_default();
    let rows = |width: usize| -> Vec<_> {
        let runs = history.runs.iter();
        runs.map(|run| row(run, wall, longest, width)).collect()
    };
    let others = table::width(HEADER, &rows(0));
    let room = terminal.size.columns.saturating_sub(others);
    let rows = rows(room.clamp(BAR_WIDTH.0, BAR_WIDTH.1));
    lines.extend(table::lines(HEADER, &rows, HEADER.len(), terminal));
    if history.skips > 0 {
        let since = format!("{} skipped since", history.skips);
        lines.push(paint(&since, Look::Notable, terminal.colour));
    }
    lines
}

/// Columns for a program, after a header.
pub(super) fn columns(name: &str, history: &History, wall: &Wall) -> Vec<String> {
    if history.runs.is_empty() {
        return vec![summary(name, history)];
    }
    let header = [
        "STARTED", "TOOK", "OUTCOME", "EXIT", "SKIPPED", "FENCE", "BY", "PID", "COMMAND",
    ];
    let rows = history.runs.iter().map(|run| {
        let exit = outcome::exit_code(run.outcome).map(|code| code.to_string());
        let exit = exit.or(outcome::signal(run.outcome)).unwrap_or_default();
        table::tabs(&[
            wall.rfc3339(run.started_ms).into(),
            run.lasted.map(show).unwrap_or_default().into(),
            outcome::word(run.outcome).into(),
            exit.into(),
            run.skips.to_string().into(),
            number(run.fence.map(|fence| fence.0)).into(),
            escape(&run.holder.who).into(),
            number((run.holder.pid != 0).then_some(run.holder.pid)).into(),
            escape(&run.holder.command).into(),
        ])
    });
    std::iter::once(table::tabbed_header(header))
        .chain(rows)
        .collect()
}

fn number<N: ToString>(number: Option<N>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// `backup: 14 runs, 2 failed, 3 skipped` or `backup: never run`
fn summary(name: &str, history: &History) -> String {
    let runs = history.runs.len();
    let failed = history.runs.iter().filter(|run| !run.outcome.is_success());
    let failed = failed.count();
    let skipped: u64 = history
        .runs
        .iter()
        .map(|run| u64::from(run.skips))
        .sum::<u64>()
        + u64::from(history.skips);
    let mut text = match runs {
        0 => "never run".to_owned(),
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if skipped > 0 {
        text.push_str(&format!(", {skipped} skipped"));
    }
    format!("{}: {text}", escape(name))
}

fn row(run: &PastRun, wall: &Wall, longest: Duration, width: usize) -> [Cell; 6] {
    let look = outcome::look(run.outcome);
    let success = run.outcome.is_success();
    let bar = run
        .lasted
        .map(|lasted| bar(lasted, longest, width, success));
    let skipped = match run.skips {
        0 => String::new(),
        skips => skips.to_string(),
    };
    [
        wall.date_and_time(run.started_ms).into(),
        run.lasted.map(show).unwrap_or_default().into(),
        Cell::new(bar.unwrap_or_default(), look),
        Cell::new(outcome::text(run.outcome), look),
        Cell::new(skipped, Look::Notable),
        by(run).into(),
    ]
}

/// `root@web3 (./backup.sh)`
fn by(run: &PastRun) -> String {
    let who = escape(&run.holder.who);
    match run.holder.command.as_str() {
        "" => who,
        command => format!("{who} ({})", escape(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::history::json;
    use crate::store::past::PastOutcome;
    use crate::store::{Fence, Holder};
    use crate::terminal::{Colour, Size};

    const HOUR_MS: u64 = 3_600_000;

    fn run(at: u64, lasted: Option<u64>, outcome: PastOutcome, skips: u32) -> PastRun {
        PastRun {
            holder: Holder {
                who: "root@web3".into(),
                pid: 4121,
                command: "./backup\x1b.sh".into(),
                ..Holder::default()
            },
            fence: Some(Fence(at + 1)),
            slot: 0,
            started_ms: 1_763_776_803_000 + at * 24 * HOUR_MS,
            lasted: lasted.map(Duration::from_secs),
            outcome,
            skips,
        }
    }

    fn history() -> History {
        History {
            runs: vec![
                run(0, Some(840), PastOutcome::Exit(0), 0),
                run(1, Some(63), PastOutcome::Exit(3), 0),
                run(2, None, PastOutcome::Vanished, 2),
                run(3, Some(420), PastOutcome::Signal(15), 0),
            ],
            skips: 1,
            now_ms: 0,
        }
    }

    fn wall() -> Wall {
        let now = "2026-11-23T01:14:03Z".parse().unwrap();
        Wall::at(now, jiff::tz::TimeZone::UTC)
    }

    fn terminal(columns: usize) -> Terminal {
        Terminal {
            size: Size { rows: 24, columns },
            colour: Colour::No,
        }
    }

    #[test]
    fn the_past_is_a_table_with_bars() {
        let lines = table("backup", &history(), &wall(), &terminal(90));
        assert_eq!(
            lines.join("\n"),
            "backup: 4 runs, 3 failed, 3 skipped\n\
             STARTED              TOOK              OUTCOME         SKIPPED  BY\n\
             2025-11-22 02:00:03  14m   ██████████  ok                       root@web3 (./backup\\u{1b}…\n\
             2025-11-23 02:00:03  1m3s  ▒           exit 3                   root@web3 (./backup\\u{1b}…\n\
             2025-11-24 02:00:03                    vanished        2        root@web3 (./backup\\u{1b}…\n\
             2025-11-25 02:00:03  7m    ▒▒▒▒▒       killed by TERM           root@web3 (./backup\\u{1b}…\n\
             1 skipped since"
        );
    }

    #[test]
    fn in_a_pipe_it_is_columns_with_nothing_left_out() {
        let lines = columns("backup", &history(), &wall());
        assert_eq!(
            lines[0],
            "STARTED\tTOOK\tOUTCOME\tEXIT\tSKIPPED\tFENCE\tBY\tPID\tCOMMAND"
        );
        assert_eq!(
            lines[2],
            "2025-11-23T02:00:03+00:00\t1m3s\tfailed\t3\t0\t2\troot@web3\t4121\t./backup\\u{1b}.sh"
        );
        assert_eq!(lines[3].split('\t').nth(1), Some("-"));
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn what_nobody_knows_has_never_run() {
        let none = History::default();
        let table = table("a\x07", &none, &wall(), &terminal(80));
        assert_eq!(table, ["a\\u{7}: never run"]);
        assert_eq!(columns("a", &none, &wall()), ["a: never run"]);
    }

    #[test]
    fn for_programs_it_is_one_object() {
        let object = json::object("backup", &history(), &wall());
        assert_eq!(object["skips"], 1);
        assert_eq!(object["runs"][1]["outcome"], "failed");
        assert_eq!(object["runs"][1]["exit_code"], 3);
        assert_eq!(object["runs"][1]["lasted_ms"], 63_000);
        assert_eq!(object["runs"][2]["lasted_ms"], serde_json::Value::Null);
        assert_eq!(object["runs"][3]["signal"], "TERM");
        assert_eq!(object["runs"][0]["started_at"], "2025-11-22T02:00:03+00:00");
    }
}
