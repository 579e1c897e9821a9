//! Lock files of this host.
