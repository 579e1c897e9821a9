//! tasklock runs a command while holding a lock.
//!
//! While it lives and gets the CPU, the command and all that descends from it
//! are dead before the lease can expire; the lock is released only after that,
//! only if it is still ours, and at most once. What a frozen host does after it
//! thaws, and what a store that lost its memory grants, only the fencing number
//! can tell apart (`TASKLOCK_FENCE`, checked by the resource).
//!
//! The house: [`cli`] declares and [`config`] validates the arguments; [`run`]
//! performs what the pure [`supervisor`] decides by the [`lease`]'s timing;
//! [`keeper`] talks to a [`store`], [`child`] to the kernel; [`inbox`] is where
//! it all comes together; [`exit`] has the codes and [`message`] the words.
//!
//! This is a program. The library exists for its tests; it promises no stable API.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod child;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod duration;
pub mod exit;
pub mod footprint;
pub mod identity;
pub mod inbox;
pub mod keeper;
pub mod lease;
pub mod log;
pub mod message;
pub mod output;
pub mod pursuit;
pub mod report;
pub mod run;
pub mod signals;
pub(crate) mod spawn;
pub mod store;
pub mod supervisor;
pub mod terminal;
pub mod ui;
pub mod wall;

use std::ffi::OsString;

use config::{ConfigError, Layout, Settings};
use exit::{Code, Ending};
use log::Format;
use store::StoreError;

/// The whole program: from the arguments to how the process has to end.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> Ending {
    let ended = config::read(arguments)
        .map_err(anyhow::Error::from)
        .and_then(|settings| match settings {
            Settings::Run(run) => Ok(run::run(&run)),
            Settings::Status(status) => commands::status::status(&status),
            Settings::List(list) => commands::list::list(&list),
            Settings::History(history) => commands::history::history(&history),
            Settings::Unlock(unlock) => commands::unlock::unlock(&unlock),
            Settings::Acquire(acquire) => commands::acquire::acquire(&acquire),
            Settings::Refresh(refresh) => commands::refresh::refresh(&refresh),
            Settings::Release(owned) => commands::release::release(&owned),
            Settings::Check(owned, verbose) => commands::check::check(&owned, verbose),
            Settings::Config(settings, Layout::Toml) => Ok(commands::config::toml(&settings)),
            Settings::Config(settings, Layout::Json) => Ok(commands::config::json(&settings)),
            Settings::Doctor(doctor) => Ok(commands::doctor::doctor(&doctor)),
            Settings::Print(text) => {
                text.trim_end().lines().for_each(output::line);
                Ok(Code::Ok.into())
            }
        });
    let ended = ended.and_then(|ending| match output::failure() {
        Some(why) => Err(anyhow::anyhow!("cannot print to standard output: {why}")),
        None => Ok(ending),
    });
    ended.unwrap_or_else(|error| {
        let format = error
            .downcast_ref::<ConfigError>()
            .map_or(Format::Text, |error| error.format);
        log::fail(&format!("{error:#}"), format);
        code_of(&error).into()
    })
}

fn code_of(error: &anyhow::Error) -> Code {
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        error.code
    } else if let Some(error) = error.downcast_ref::<StoreError>() {
        error.kind.code()
    } else {
        Code::System
    }
}
