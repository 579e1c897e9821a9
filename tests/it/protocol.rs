//! The protocols themselves, explored in every order in which things can happen.
//!
//! Small worlds, exhaustively: what may never happen does not, and each rule that
//! is left out is found to be missing. A model that cannot fail proves nothing.

mod fence;
mod lease;
