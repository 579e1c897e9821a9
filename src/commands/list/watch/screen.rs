//! The terminal's other screen, which full-screen programs use.

use std::io::{Write, stdout};

/// Switches to the other screen and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Shows the cursor, and the first screen as it was.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
/// Clears the rest of the line, and of the screen.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// The other screen; left when it is dropped, also by a defect.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    pub(super) fn enter() -> Screen {
        write(ENTER);
        Screen(())
    }

    pub(super) fn leave(self) {
        drop(self);
    }

    /// Replaces what is shown, in one write, so that nothing flickers.
    pub(super) fn show(&self, lines: &[String]) {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| format!("{line}{CLEAR_LINE}"))
            .collect();
        // No line feed after the last one, which would scroll.
        write(&format!("{HOME}{}{CLEAR_BELOW}", lines.join("\r\n")));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(LEAVE);
    }
}

/// A terminal that is gone is told by a signal.
fn write(text: &str) {
    let mut stdout = stdout();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
