//! `--watch`: the table on a screen of its own, kept up to date until somebody
//! interrupts it. The terminal is then as it was before.

mod screen;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal, raise};

use super::row::{HEADER, Row, WANTED};
use super::{cells, sorted};
use crate::commands::interrupt;
use crate::commands::table::{self, Look, paint};
use crate::config::List;
use crate::duration::show;
use crate::exit::{Code, Ending};
use crate::store::pattern::Pattern;
use crate::store::{Store, StoreError};
use crate::terminal::{self, Terminal, cut};
use crate::wall::Wall;
use screen::Screen;

/// What the view reacts to.
enum Event {
    /// The locks, or why there is no answer.
    Looked(Result<Vec<Row>, StoreError>),
    /// Ctrl-C and its like.
    Interrupted,
    /// Ctrl-Z.
    Suspended,
    /// The window has another size.
    Resized,
}

/// Shows the locks until it is interrupted, which is how it is meant to end.
///
/// # Errors
/// [`StoreError`] when the store does not answer at first; later the view says so and goes on.
pub(super) fn watch(settings: &List, every: Duration) -> Result<Ending> {
    let mut store = settings.place.open();
    let mut view = View {
        place: settings.place.target.to_string(),
        every,
        rows: sorted(
            &mut *store,
            &settings.pattern,
            settings.place.store_timeout,
            &Wall::here(),
        )?,
        trouble: None,
    };
    let (events, happened) = mpsc::channel();
    let signals = view_signals();
    // Before any thread is started: all of them inherit it.
    signals.thread_block()?;
    interrupt::report(events.clone(), || Event::Interrupted);
    watch_signals(signals, events.clone())?;
    let asked = look_again(store, settings, every, events)?;
    let mut screen = Screen::enter();
    loop {
        screen.show(&view.lines());
        match happened.recv() {
            Ok(Event::Looked(Ok(rows))) => {
                view.rows = rows;
                view.trouble = None;
            }
            Ok(Event::Looked(Err(error))) => view.trouble = Some(error),
            Ok(Event::Resized) => {}
            Ok(Event::Suspended) => {
                screen.leave();
                suspend();
                screen = Screen::enter();
            }
            // All senders gone: nothing will ever change.
            Ok(Event::Interrupted) | Err(_) => break,
        }
    }
    drop(asked);
    Ok(Code::Ok.into())
}

/// What is shown.
struct View {
    place: String,
    every: Duration,
    rows: Vec<Row>,
    trouble: Option<StoreError>,
}

impl View {
    fn lines(&self) -> Vec<String> {
        let Some(terminal) = terminal::on_stdout() else {
            return Vec::new();
        };
        self.lines_at(&Wall::here(), &terminal)
    }

    /// A line about the view, and as much of the table as fits.
    fn lines_at(&self, wall: &Wall, terminal: &Terminal) -> Vec<String> {
        let columns = terminal.size.columns;
        let clock = wall.ago(Duration::ZERO);
        let (count, every) = (self.rows.len(), show(self.every));
        let locks = if count == 1 { "lock" } else { "locks" };
        let about = format!(
            "{clock}  {count} {locks} in {}, every {every}, ^C ends",
            self.place
        );
        let mut lines = vec![paint(&cut(&about, columns), Look::Faint, terminal.colour)];
        if let Some(error) = &self.trouble {
            let text = cut(&format!("{error}; trying again"), columns);
            lines.push(paint(&text, Look::Bad, terminal.colour));
        }
        let room = terminal.size.rows.saturating_sub(lines.len());
        // The header needs a line, and so does telling what did not fit.
        let fitting = room.saturating_sub(1);
        let shown = if self.rows.len() > fitting {
            fitting.saturating_sub(1)
        } else {
            self.rows.len()
        };
        let rows = cells(self.rows[..shown].to_vec());
        lines.extend(table::lines(HEADER, &rows, WANTED, terminal));
        if shown < self.rows.len() {
            let more = format!("and {} more", self.rows.len() - shown);
            lines.push(cut(&more, columns));
        }
        lines.truncate(terminal.size.rows);
        lines
    }
}

/// The signals that concern the view besides the interrupts. QUIT, too: its core
/// dump is of no use, and a terminal left upside down is a nuisance.
fn view_signals() -> SigSet {
    [Signal::SIGTSTP, Signal::SIGWINCH, Signal::SIGQUIT]
        .into_iter()
        .collect()
}

fn watch_signals(signals: SigSet, events: Sender<Event>) -> Result<()> {
    let work = move || {
        while let Ok(signal) = signals.wait() {
            let event = match signal {
                Signal::SIGTSTP => Event::Suspended,
                Signal::SIGWINCH => Event::Resized,
                _ => Event::Interrupted,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    };
    start("signals", work)
}

/// Asks the store again and again, until the answer is dropped.
fn look_again(
    mut store: Box<dyn Store>,
    settings: &List,
    every: Duration,
    events: Sender<Event>,
) -> Result<Sender<()>> {
    let (asked, enough): (Sender<()>, Receiver<()>) = mpsc::channel();
    let pattern: Pattern = settings.pattern.clone();
    let timeout = settings.place.store_timeout;
    let work = move || {
        while let Err(RecvTimeoutError::Timeout) = enough.recv_timeout(every) {
            let rows = sorted(&mut *store, &pattern, timeout, &Wall::here());
            if events.send(Event::Looked(rows)).is_err() {
                return;
            }
        }
    };
    start("look", work)?;
    Ok(asked)
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread
        .spawn(work)
        .map(drop)
        .context("the system refuses a thread")
}

/// Stops this process as ^Z does, until it is continued. Where nobody could
/// continue it (no job control), the kernel does not stop it.
fn suspend() {
    let mut only = SigSet::empty();
    only.add(Signal::SIGTSTP);
    if only.thread_unblock().is_ok() {
        let _ = raise(Signal::SIGTSTP);
        let _ = only.thread_block();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{LockName, Slot, Status, StoreErrorKind};
    use crate::terminal::{Colour, Size};

    fn wall() -> Wall {
        let now = "2026-11-23T02:14:03Z".parse().unwrap();
        Wall::at(now, jiff::tz::TimeZone::UTC)
    }

    fn view(names: &[&str]) -> View {
        let status = Status {
            slots: vec![Slot::default()],
            ..Status::default()
        };
        let row = |name: &&str| Row::of(&LockName::new(name).unwrap(), &status, &wall());
        View {
            place: "redis://h:6379".into(),
            every: Duration::from_secs(2),
            rows: names.iter().map(row).collect(),
            trouble: None,
        }
    }

    fn shown(view: &View, rows: usize, columns: usize) -> Vec<String> {
        let terminal = Terminal {
            size: Size { rows, columns },
            colour: Colour::No,
        };
        view.lines_at(&wall(), &terminal)
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let view = view(&["a", "b", "c"]);
        let whole = shown(&view, 5, 80);
        assert_eq!(
            whole[0],
            "02:14:03  3 locks in redis://h:6379, every 2s, ^C ends"
        );
        assert!(whole[1].starts_with("NAME  STATE"));
        assert_eq!(whole[2..], ["a     free", "b     free", "c     free"]);
        let cut = shown(&view, 4, 80);
        assert_eq!(cut[2..], ["a     free", "and 2 more"]);
        for rows in 1..8 {
            assert!(shown(&view, rows, 10).len() <= rows);
        }
    }

    #[test]
    fn a_store_that_is_away_is_told_above_what_was_known_last() {
        let mut view = view(&["a"]);
        view.trouble = Some(StoreError::new(
            StoreErrorKind::Unavailable,
            "cannot reach redis://h:6379",
        ));
        let lines = shown(&view, 24, 80);
        assert_eq!(lines[1], "cannot reach redis://h:6379; trying again");
        assert_eq!(lines[3], "a     free");
    }
}
