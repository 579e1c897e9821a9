//! Ctrl-C for the commands that have no child. Which of INT, TERM and HUP it
//! was is not known here, and does not matter.

use std::sync::mpsc::Sender;

/// Sends what `event` makes to `events` with each interrupt, from now on. A
/// process that was started with INT ignored (`&` in a script) is left so, as is
/// one that ignores HUP or TERM: then the signals act on it as they did.
pub(super) fn report<T: Send + 'static>(events: Sender<T>, event: impl Fn() -> T + Send + 'static) {
    let tell = move || {
        // A receiver that is gone has nothing left to interrupt.
        let _ = events.send(event());
    };
    // The one error that can come is that some signal is ignored, see above.
    let _ = ctrlc::try_set_handler(tell);
}
