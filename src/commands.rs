//! The subcommands: one file each.

pub mod config;
pub mod status;
pub mod unlock;

use crate::config::Lock;
use crate::log::{Format, Log};
use crate::message::{Level, Message};

/// Says that only this host was looked at, where nobody chose that: whoever logs
/// in does not have the URL of the crontab.
fn tell_where(lock: &Lock) {
    if lock.unconfigured {
        let log = Log::new(lock.name.to_string(), Format::Text, Level::Notice);
        log.say(&Message::LocalOnly);
    }
}
