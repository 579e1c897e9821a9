//! The subcommands: one file each, and what they have in common.

pub mod acquire;
pub mod check;
pub mod config;
mod deadline;
pub mod doctor;
pub mod history;
pub mod list;
pub mod refresh;
pub mod release;
pub mod status;
mod token;
pub mod unlock;

mod interrupt;
mod json;
mod outcome;
mod state;
mod table;

use crate::log::{Format, Log};
use crate::message::{Level, Message};

/// Says that only this host was looked at, where nobody chose that: whoever logs
/// in does not have the URL of the crontab.
fn tell_where(unconfigured: bool) {
    if unconfigured {
        let log = Log::new(String::new(), Format::Text, Level::Notice);
        log.say(&Message::LocalOnly);
    }
}
