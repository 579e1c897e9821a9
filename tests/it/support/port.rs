//! Ports for servers.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port on 127.0.0.1 that nobody listens on.
///
/// Below the range that the kernel hands out by itself (from 32768), so that it stays free
/// while a server restarts; and low enough for a Cluster's bus at port + 10000 as well.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side start at different places.
    let offset = std::process::id().wrapping_mul(577);
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let place = offset.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(place).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
