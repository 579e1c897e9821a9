//! `redis+sentinel://` and `rediss+sentinel://`.

use std::sync::Arc;

use super::hosts::Hosts;
use super::{database, decode, harmless, password_of};
use crate::store::redis::tls::Tls;
use crate::store::redis::{Login, Secret, Sentinels, Server};

/// Port of Sentinel, <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/>.
const DEFAULT_PORT: u16 = 26379;
/// More than any master has: each of them is asked in a thread of its own.
const SENTINELS_MAX: usize = 32;

/// Reads such a URL. User and password before the hosts are the master's, those
/// of the Sentinels stand behind the question mark.
pub(super) fn parse(text: &str, tls: Option<Tls>) -> Result<Sentinels, String> {
    let tls = tls.map(Arc::new);
    let s = if tls.is_some() { "s" } else { "" };
    let form = format!(
        "redis{s}+sentinel://[user:pass@]host[:port][,host[:port]…]/master-name[/db][?sentinel_user=USER&sentinel_password=PASS]"
    );
    let hint = |what: &str| format!("{what}; write {form}, special characters as %XX");
    let hosts = Hosts::parse(text, DEFAULT_PORT).map_err(|what| hint(&what))?;
    if hosts.rest.contains('#') {
        return Err(hint(
            "the store URL ends in a fragment, which means nothing here",
        ));
    }
    let (path, options) = hosts.rest.split_once('?').unwrap_or((hosts.rest, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    // A raw "/" in a password ends the hosts too early: what comes then may be a part of it.
    if path.contains('@') {
        return Err(hint("the store URL has an \"@\" behind its hosts"));
    }
    let (name, number) = path.split_once('/').unwrap_or((path, ""));
    let name = decode(name, "master's name")?;
    if name.is_empty() {
        return Err(hint(
            "the store URL does not name the master that the Sentinels watch",
        ));
    }
    if name.contains(char::is_control) {
        return Err(hint(
            "the master's name in the store URL contains control characters",
        ));
    }
    let (mut user, mut password) = (None, None);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sentinel_user", value)) => user = Some(decode(value, "sentinel_user")?),
            Some(("sentinel_password", value)) => {
                password = Some(Secret::new(decode(value, "sentinel_password")?));
            }
            _ => {
                let name = harmless(Some(option));
                return Err(hint(&format!("the store URL has an unknown option{name}")));
            }
        }
    }
    let password = password_of(user.as_ref(), password);
    let mut addresses = vec![hosts.first];
    for address in hosts.others {
        // Whoever is named twice has one voice.
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.len() > SENTINELS_MAX {
        return Err(hint(&format!(
            "more than {SENTINELS_MAX} Sentinels are too many"
        )));
    }
    let node = |address| {
        Arc::new(Server {
            address,
            tls: tls.clone(),
            user: user.clone(),
            password: password.clone(),
            database: 0,
            named_by: None,
        })
    };
    Ok(Sentinels {
        nodes: addresses.into_iter().map(node).collect(),
        name,
        login: Login {
            tls: tls.clone(),
            user: hosts.user,
            password: hosts.password,
            database: database(number.trim_end_matches('/'))?,
        },
    })
}
