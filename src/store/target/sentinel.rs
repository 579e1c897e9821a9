//! `redis+sentinel://` and `rediss+sentinel://`.

use std::sync::Arc;

use super::hosts::ManyHosts;
use super::{Credentials, database, decode, harmless};
use crate::store::redis::tls::Tls;
use crate::store::redis::{Address, Login, Sentinels, Server};

/// Port of Sentinel, <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/>.
const DEFAULT_PORT: u16 = 26379;

/// Reads such a URL. User and password before the hosts are the master's, those
/// of the Sentinels stand behind the question mark.
pub(super) fn parse(text: &str, tls: Option<Tls>) -> Result<Sentinels, String> {
    let tls = tls.map(Arc::new);
    let s = if tls.is_some() { "s" } else { "" };
    let form = format!(
        "redis{s}+sentinel://[user:pass@]host[:port][,host…]/master-name[/db][?sentinel_user=USER&sentinel_password=PASS]"
    );
    let parts = ManyHosts::parse(text, &form, DEFAULT_PORT)?;
    let (name, number) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    let name = decode(name, "master's name")?;
    if name.is_empty() {
        return Err(format!(
            "the store URL does not name the master that the Sentinels watch; write {form}"
        ));
    }
    if name.contains(char::is_control) {
        return Err("the master's name in the store URL contains control characters".to_owned());
    }
    let (mut user, mut password) = (None, None);
    for option in parts.query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sentinel_user", value)) => user = Some(decode(value, "sentinel_user")?),
            Some(("sentinel_password", value)) => {
                password = Some(decode(value, "sentinel_password")?);
            }
            _ => {
                let name = harmless(Some(option));
                return Err(format!(
                    "the store URL has an unknown option{name}; write {form}"
                ));
            }
        }
    }
    let of_sentinel = Credentials::new(user, password);
    let node = |(host, port)| {
        Arc::new(Server {
            address: Address::Tcp { host, port },
            tls: tls.clone(),
            user: of_sentinel.user.clone(),
            password: of_sentinel.password.clone(),
            database: 0,
        })
    };
    Ok(Sentinels {
        nodes: parts.hosts.into_iter().map(node).collect(),
        name,
        login: Login {
            user: parts.credentials.user,
            password: parts.credentials.password,
            database: database(number.trim_end_matches('/'))?,
            tls,
        },
    })
}
