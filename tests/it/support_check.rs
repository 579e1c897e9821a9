//! The support tested by itself: a broken harness must not look like a broken (or a good) program.

mod network;
mod programs;
mod servers;
mod terminal;
