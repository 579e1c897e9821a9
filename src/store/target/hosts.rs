//! URLs that name several hosts, `scheme://[user:pass@]h1[:port],h2/path?query`,
//! which the `url` crate does not know. No error repeats a piece of the URL: a
//! raw special character in a password may have moved it anywhere.

use std::net::Ipv6Addr;

use super::{Credentials, decode, harmless};

/// More than any such URL needs: each of them is asked in a thread of its own.
const HOSTS_MAX: usize = 32;

/// The pieces of such a URL.
pub(super) struct ManyHosts<'a> {
    pub(super) credentials: Credentials,
    /// Name or address (without brackets) and port of each, none twice.
    pub(super) hosts: Vec<(String, u16)>,
    /// Behind the first slash, as it was written.
    pub(super) path: &'a str,
    /// Behind the question mark, as it was written.
    pub(super) query: &'a str,
}

impl<'a> ManyHosts<'a> {
    /// Takes a URL apart that should look like `form`.
    pub(super) fn parse(
        text: &'a str,
        form: &str,
        default_port: u16,
    ) -> Result<ManyHosts<'a>, String> {
        let invalid = |why: &str| {
            format!("the store URL is not valid: {why}; write {form}, special characters as %XX")
        };
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("the store URL contains white space (%20 in a password)".to_owned());
        }
        if let Some((_, fragment)) = text.split_once('#') {
            let name = harmless(Some(fragment));
            return Err(format!(
                "the store URL ends in a fragment{name}, which means nothing here (\"#\" in a password is %23)"
            ));
        }
        let (_, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("no \"//\" behind the scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, list) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let user = Some(user).filter(|user| !user.is_empty());
        let mut hosts = Vec::new();
        for part in list.split(',') {
            let host = host(part, default_port).map_err(|why| invalid(&why))?;
            // Whoever is named twice has one voice.
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        if hosts.len() > HOSTS_MAX {
            return Err(invalid(&format!("more than {HOSTS_MAX} hosts")));
        }
        Ok(ManyHosts {
            credentials: Credentials::new(
                user.map(|user| decode(user, "user")).transpose()?,
                password
                    .map(|password| decode(password, "password"))
                    .transpose()?,
            ),
            hosts,
            path,
            query,
        })
    }
}

/// `name`, `1.2.3.4` or `[::1]`, and `:port` if it is not the usual one.
fn host(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest
                .split_once(']')
                .ok_or("a \"[\" without its \"]\" in the list of hosts")?;
            address
                .parse::<Ipv6Addr>()
                .map_err(|_| "what is in brackets is not an IPv6 address")?;
            let port = match behind.strip_prefix(':') {
                Some(port) => Some(port),
                None if behind.is_empty() => None,
                None => return Err("more than a port behind \"]\"".to_owned()),
            };
            (address, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("an empty host name".to_owned());
    }
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !text.starts_with('[') && !host.chars().all(of_a_name) {
        return Err("a host name has letters, digits, \"-\", \".\" and \"_\"".to_owned());
    }
    let port =
        match port {
            None => default_port,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(
                "a port is a number from 1 to 65535, and an IPv6 address stands in brackets",
            )?,
        };
    Ok((host.to_owned(), port))
}
