//! What a person sees at a terminal while the run waits for the lock: one line
//! that stays up to date, and is gone when the wait is over.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::{self, Tick};
use crate::message::waiting_line;
use crate::store::{Held, Queued};

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
    /// A line about the lock `name`, drawn by a thread of its own: a write may
    /// block. None if standard error is no terminal on which a line can be taken
    /// away again (`TERM=dumb`), or the system refuses the thread.
    #[must_use]
    pub fn start(name: String) -> Option<WaitingLine> {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if line.is_hidden() {
            return None;
        }
        let (news, updates) = mpsc::channel();
        let (over, gone) = mpsc::channel();
        let work = move || {
            draw(&line, &name, &updates);
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
fn draw(line: &ProgressBar, name: &str, updates: &Receiver<News>) {
    // The template is constant; without it the line would look different, no worse.
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        line.set_style(style);
    }
    let mut last = None;
    loop {
        match updates.recv_timeout(STEP) {
            Ok(news) => last = Some(news),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(news) = &last {
            line.set_message(news.text(name, clock::now()));
        }
    }
    line.finish_and_clear();
}

impl News {
    fn text(&self, name: &str, now: Tick) -> String {
        let passed = now.since(self.at);
        let queued = Queued {
            held: self.queued.held.as_ref().map(|held| Held {
                age: held.age.map(|age| age + passed),
                // It jumps with each refresh of the holder's, and says nothing of the wait.
                remaining: None,
                ..held.clone()
            }),
            ..self.queued
        };
        let left = (self.until != Tick::NEVER).then(|| self.until.since(now));
        waiting_line(name, &queued, left)
    }
}
