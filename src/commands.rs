//! The subcommands: one file each.

pub mod status;
pub mod unlock;
