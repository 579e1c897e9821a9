//! tasklock runs a command while holding a lock. No promise of a stable library API.

pub mod clock;
pub mod store;
