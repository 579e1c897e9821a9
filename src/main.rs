//! tasklock: run a command while holding a lock. Parse, call, exit.

use std::panic::catch_unwind;

use tasklock::exit::{Code, Ending};
use tasklock::signals;

#[allow(clippy::exit)] // the only place that ends the process
fn main() {
    // A defect ends with its own code; the child that may run dies with us.
    let ending = catch_unwind(|| tasklock::program(std::env::args_os()));
    match ending.unwrap_or(Ending::Code(Code::Defect as u8)) {
        Ending::Code(code) => std::process::exit(code.into()),
        Ending::Signal(signal) => {
            signals::die_of(signal);
            // PID 1 does not die of its own signals.
            std::process::exit(128 + signal.number());
        }
    }
}
