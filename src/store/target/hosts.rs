//! The part of a URL that names several servers: `//[user:pass@]host[:port][,host[:port]…]`.

use std::net::Ipv6Addr;

use super::{decode, password_of, refuse_blanks};
use crate::store::redis::{Address, Secret};

/// Servers, with the login that is good for all of them.
pub(super) struct Hosts<'a> {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) first: Address,
    pub(super) others: Vec<Address>,
    /// What follows in the URL: a path, options.
    pub(super) rest: &'a str,
}

impl Hosts<'_> {
    /// Takes the URL `text` apart.
    ///
    /// # Errors
    /// What is wrong, without any piece of the URL.
    pub(super) fn parse(text: &str, default_port: u16) -> Result<Hosts<'_>, String> {
        refuse_blanks(text)?;
        let (_, text) = text.split_once("://").ok_or("the store URL is not valid")?;
        // A raw "/", "?" or "#" in a password ends the hosts too early.
        let (authority, rest) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decode(password, "password")?)),
            None => (login, None),
        };
        let user = Some(decode(user, "user")?).filter(|user| !user.is_empty());
        let mut addresses = hosts.split(',').map(|host| address(host, default_port));
        let first = addresses
            .next()
            .unwrap_or_else(|| address("", default_port))?;
        Ok(Hosts {
            password: password_of(user.as_ref(), password.map(Secret::new)),
            user,
            first,
            others: addresses.collect::<Result<_, _>>()?,
            rest,
        })
    }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn address(text: &str, default_port: u16) -> Result<Address, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => inner
            .split_once(']')
            .filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())
            .ok_or("the store URL has brackets without an IPv6 address inside")?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let plausible = |c: char| c.is_alphanumeric() || "-._:".contains(c);
    if host.is_empty() {
        return Err("the store URL has no host where it needs one".to_owned());
    }
    if !host.chars().all(plausible) {
        return Err("the store URL has a host that cannot be one".to_owned());
    }
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().ok().filter(|&port| port != 0),
        None => Some(default_port).filter(|_| port.is_empty()),
    };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port: port.ok_or("the store URL has an invalid port number (an IPv6 address is [::1])")?,
    })
}
