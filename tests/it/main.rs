//! The integration tests: the real program on real servers. One binary, linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod cli;
mod cluster;
mod config;
mod docs;
mod doctor;
mod fuzz;
mod holding;
mod local_store;
mod looking;
mod model;
mod protocol;
mod quorum;
mod recipes;
mod redis_store;
mod sentinel;
mod steps;
mod store_contract;
mod supervision;
mod support;
mod support_check;
mod torture;
mod waiting;
