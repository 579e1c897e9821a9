//! The integration tests: the real program on real servers. One binary, linked once.

mod support;
