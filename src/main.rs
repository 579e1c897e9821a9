//! tasklock: run a command while holding a lock. Parse, call, exit.

use tasklock::exit::Ending;
use tasklock::signals;

#[allow(clippy::exit)] // the only place that ends the process
fn main() {
    match tasklock::program(std::env::args_os()) {
        Ending::Code(code) => std::process::exit(code.into()),
        Ending::Signal(signal) => {
            signals::die_of(signal);
            // PID 1 does not die of its own signals.
            std::process::exit(128 + signal.number());
        }
    }
}
