//! What a person sees at a terminal while the run waits for the lock: one line
//! that stays up to date, and is gone when the wait is over.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Tick};
use crate::message::waiting_line;
use crate::store::Queued;
use crate::terminal::{self, cut};

/// How often the durations in the line are brought up to date.
const STEP: Duration = Duration::from_secs(1);
/// How long the run waits for the line to go away: nobody may be reading (^S).
const CLEAR_MAX: Duration = Duration::from_millis(200);

/// The line. Dropping it takes it away.
#[derive(Debug)]
pub struct WaitingLine {
    /// Closed to end it.
    news: Option<Sender<News>>,
    /// Closed when it is gone.
    gone: Receiver<()>,
}

/// How the wait stood at a time.
#[derive(Debug)]
struct News {
    at: Tick,
    queued: Queued,
    until: Tick,
}

impl WaitingLine {
    /// A line about the lock `name` with this many places, drawn by a thread of its own: a write may
    /// block. None if standard error is no terminal on which a line can be taken
    /// away again (`TERM=dumb`), or the system refuses the thread.
    #[must_use]
    pub fn start(name: String, places: u32) -> Option<WaitingLine> {
        terminal::line_on_stderr()?;
        let (news, updates) = mpsc::channel();
        let (over, gone) = mpsc::channel();
        let work = move || {
            draw((&name, places), &updates);
            drop(over);
        };
        let thread = thread::Builder::new().name("line".to_owned()).spawn(work);
        thread.ok().map(|_| WaitingLine {
            news: Some(news),
            gone,
        })
    }

    /// Shows how the wait stands now, and that it ends at `until`.
    pub fn show(&self, queued: Queued, until: Tick) {
        let at = clock::now();
        if let Some(news) = &self.news {
            // A thread that has died draws nothing, which harms nobody.
            let _ = news.send(News { at, queued, until });
        }
    }
}

impl Drop for WaitingLine {
    fn drop(&mut self) {
        self.news = None;
        let _ = self.gone.recv_timeout(CLEAR_MAX);
    }
}

/// Keeps the line up to date until nobody has news any more.
fn draw((name, places): (&str, u32), updates: &Receiver<News>) {
    let mut last = None;
    loop {
        match updates.recv_timeout(STEP) {
            Ok(news) => last = Some(news),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return write(""),
        }
        if let Some(news) = &last {
            write(&news.text(name, places, clock::now()));
        }
    }
}

/// Writes `text` in place of what stands in the line, in one write.
fn write(text: &str) {
    /// Back to the start of the line, and erase it.
    const ERASE: &str = "\r\x1b[2K";
    // Its width may have changed since.
    let width = terminal::line_on_stderr().unwrap_or(0);
    let line = format!("{ERASE}{}", cut(text, width));
    // What cannot be written is nobody's loss.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

impl News {
    fn text(&self, name: &str, places: u32, now: Tick) -> String {
        let mut queued = self.queued.clone().after(now.since(self.at));
        if let Some(held) = &mut queued.held {
            // It jumps with each refresh of the holder's, and says nothing of the wait.
            held.remaining = None;
        }
        let left = (self.until != Tick::NEVER).then(|| self.until.since(now));
        waiting_line(name, &queued, left, places)
    }
}
