//! From the URL a user wrote to the store it names.
//!
//! No error text contains a password, nor any part of a URL that could be one.

mod hosts;
mod sentinel;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::Url;

use self::hosts::Hosts;
use super::Store;
use super::local::LocalStore;
use super::quorum::{Nodes, QuorumStore};
use super::redis::tls::Tls;
use super::redis::{Address, RedisStore, Secret, Seeds, Sentinels, Server, TlsFiles};

/// Port of Redis and Valkey, <https://redis.io/docs/latest/operate/oss_and_stack/management/config/>.
const DEFAULT_PORT: u16 = 6379;

const SCHEMES: &str = "local:, redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://";

/// Where locks live.
#[derive(Debug)]
pub enum Target {
    /// Lock files of this host, in a directory if one was named.
    Local(Option<PathBuf>),
    /// One Redis or Valkey server.
    Redis(Arc<Server>),
    /// The master that Sentinel names.
    Sentinel(Arc<Sentinels>),
    /// A Redis Cluster.
    Cluster(Arc<Seeds>),
    /// Several of them, of which a majority decides.
    Quorum(Arc<Nodes>),
}

/// How long a request may take, and what that means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// No time: the kernel answers. A lock lives as long as the process that holds it.
    Here,
    /// A few round trips.
    Near,
    /// Many round trips and some arithmetic: TLS, or a server that has to be found first; or several servers.
    Far,
}

impl Target {
    /// Reads what `--url` or its like gave (nothing: the local store), and the TLS files.
    ///
    /// # Errors
    /// One line that says what is wrong and what would be right, without any password.
    pub fn parse(urls: &[String], tls: &TlsFiles) -> Result<Target, String> {
        let url = match urls {
            [] => "local:",
            [url] => url.as_str(),
            several => return quorum(several, tls),
        };
        if url.is_empty() {
            return Err(format!("the store URL is empty, it begins with {SCHEMES}"));
        }
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(format!(
                "the store URL has no scheme, it begins with {SCHEMES}"
            ));
        };
        let scheme = scheme.to_ascii_lowercase();
        if !scheme.starts_with("rediss")
            && let Some(flag) = tls.first_flag()
        {
            return Err(format!(
                "{flag} needs a store URL that begins with rediss:// or rediss+"
            ));
        }
        match scheme.as_str() {
            "local" => local(rest).map(Target::Local),
            "redis" => tcp(url, None).map(|server| Target::Redis(Arc::new(server))),
            "rediss" => {
                let tls = Tls::read(tls)?;
                tcp(url, Some(tls)).map(|server| Target::Redis(Arc::new(server)))
            }
            "unix" => unix(url).map(|server| Target::Redis(Arc::new(server))),
            "redis+cluster" => cluster(url, None).map(|seeds| Target::Cluster(Arc::new(seeds))),
            "rediss+cluster" => {
                let tls = Tls::read(tls)?;
                cluster(url, Some(tls)).map(|seeds| Target::Cluster(Arc::new(seeds)))
            }
            "redis+sentinel" => sentinel::parse(url, None).map(|it| Target::Sentinel(Arc::new(it))),
            "rediss+sentinel" => {
                let tls = Tls::read(tls)?;
                sentinel::parse(url, Some(tls)).map(|it| Target::Sentinel(Arc::new(it)))
            }
            // Without "//" it is as likely the user and password of a URL without a scheme.
            _ if rest.starts_with("//") && scheme.len() < 20 => Err(format!(
                "unknown store {scheme:?}, a store URL begins with {SCHEMES}"
            )),
            _ => Err(format!(
                "the store URL has no scheme, it begins with {SCHEMES}"
            )),
        }
    }

    /// A store of its own for one user of it. Connects at its first request.
    #[must_use]
    pub fn open(&self, key_prefix: &str) -> Box<dyn Store> {
        match self {
            Target::Local(directory) => Box::new(LocalStore::open(directory.clone())),
            Target::Redis(server) => {
                Box::new(RedisStore::new(Arc::clone(server), key_prefix.to_owned()))
            }
            Target::Sentinel(sentinels) => {
                let prefix = key_prefix.to_owned();
                Box::new(RedisStore::by_sentinel(Arc::clone(sentinels), prefix))
            }
            Target::Cluster(seeds) => {
                let prefix = key_prefix.to_owned();
                Box::new(RedisStore::in_cluster(Arc::clone(seeds), prefix))
            }
            Target::Quorum(nodes) => Box::new(QuorumStore::new(nodes, key_prefix)),
        }
    }

    /// How far away the store is.
    #[must_use]
    pub fn distance(&self) -> Distance {
        match self {
            Target::Local(_) => Distance::Here,
            Target::Redis(server) if server.tls.is_some() => Distance::Far,
            Target::Cluster(seeds) if seeds.first().tls.is_some() => Distance::Far,
            Target::Redis(_) | Target::Cluster(_) => Distance::Near,
            Target::Sentinel(_) => Distance::Far,
            Target::Quorum(_) => Distance::Far,
        }
    }
}

/// The URL without user and password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Local(None) => f.write_str("local:"),
            Target::Local(Some(directory)) => write!(f, "local:{}", directory.display()),
            Target::Redis(server) => server.fmt(f),
            Target::Sentinel(sentinels) => sentinels.fmt(f),
            Target::Cluster(seeds) => seeds.fmt(f),
            Target::Quorum(nodes) => nodes.fmt(f),
        }
    }
}

fn quorum(urls: &[String], tls: &TlsFiles) -> Result<Target, String> {
    let server = |url: &String| match Target::parse(std::slice::from_ref(url), tls)? {
        Target::Redis(server) => Ok(server),
        _ => Err("a quorum is of plain servers: redis://, rediss:// or unix://".to_owned()),
    };
    let servers = urls.iter().map(server).collect::<Result<_, _>>()?;
    Nodes::new(servers).map(|nodes| Target::Quorum(Arc::new(nodes)))
}

fn local(directory: &str) -> Result<Option<PathBuf>, String> {
    if directory.is_empty() {
        return Ok(None);
    }
    if directory.starts_with("//") {
        return Err("local: takes a directory, not a host: write local:/dir".to_owned());
    }
    if !directory.starts_with('/') || directory.contains(char::is_control) {
        return Err("local: takes an absolute directory, as in local:/dir".to_owned());
    }
    Ok(Some(PathBuf::from(directory)))
}

fn tcp(text: &str, tls: Option<Tls>) -> Result<Server, String> {
    let scheme = if tls.is_some() { "rediss" } else { "redis" };
    let url = parse(text, &format!("{scheme}://[user:pass@]host[:port][/db]"))?;
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err(format!(
            "the {scheme} URL has no host, write {scheme}://host[:port][/db]"
        ));
    }
    if url.query().is_some() {
        return Err(format!(
            "the {scheme} URL takes no options{}; the database is {scheme}://host/db",
            harmless(url.query())
        ));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let (user, password) = credentials(&url)?;
    let password = password_of(user.as_ref(), password);
    Ok(Server {
        address: Address::Tcp {
            host: decode(host, "host")?,
            port: url.port().unwrap_or(DEFAULT_PORT),
        },
        tls: tls.map(Arc::new),
        user,
        password,
        named_by: None,
        database: database(url.path().trim_start_matches('/'))?,
    })
}

fn unix(text: &str) -> Result<Server, String> {
    let form = "unix:///path/of/redis.sock[?db=N&user=USER&pass=PASS]";
    let url = parse(text, form)?;
    if url.host_str().is_some_and(|host| !host.is_empty()) || url.path().len() < 2 {
        return Err(format!("the unix URL takes an absolute path, write {form}"));
    }
    let (mut user, mut password) = credentials(&url)?;
    // A raw "/" in a password begins the path too early, which is told.
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let has_login = !rest.is_empty() && !rest.starts_with('/');
    if has_login && url.path().contains('@') {
        return Err(format!(
            "the unix URL has an \"@\" in its path; write {form}, special characters as %XX"
        ));
    }
    let mut number = 0;
    for option in url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty())
    {
        match option.split_once('=') {
            Some(("db", value)) => number = database(value)?,
            Some(("user", value)) => user = Some(decode(value, "user")?),
            Some(("pass", value)) => password = Some(Secret::new(decode(value, "password")?)),
            _ => {
                let name = harmless(Some(option));
                return Err(format!(
                    "the unix URL has an unknown option{name}, write {form}"
                ));
            }
        }
    }
    let password = password_of(user.as_ref(), password);
    let path = PathBuf::from(decode(url.path(), "path")?);
    Ok(Server {
        address: Address::Unix(path),
        tls: None,
        user,
        password,
        database: number,
        named_by: None,
    })
}

/// The nodes are a list, which the `url` crate does not know.
fn cluster(text: &str, tls: Option<Tls>) -> Result<Seeds, String> {
    let scheme = if tls.is_some() { "rediss" } else { "redis" };
    let wrong = |what: &str| {
        format!(
            "{what}; write {scheme}+cluster://[user:pass@]host[:port][,host[:port]…], special characters as %XX"
        )
    };
    let hosts = Hosts::parse(text, DEFAULT_PORT).map_err(|what| wrong(&what))?;
    match hosts.rest.trim_start_matches('/') {
        "" => {}
        rest if rest.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(wrong(
                "the store URL names a database, but a Redis Cluster has no others than 0",
            ));
        }
        _ => return Err(wrong("the store URL goes on after its hosts")),
    }
    let tls = tls.map(Arc::new);
    let server = |address| Server {
        address,
        tls: tls.clone(),
        user: hosts.user.clone(),
        password: hosts.password.clone(),
        database: 0,
        named_by: None,
    };
    let others = hosts.others.iter().cloned().map(server);
    Ok(Seeds::new(server(hosts.first.clone()), others))
}

fn refuse_blanks(text: &str) -> Result<(), String> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("the store URL contains white space (%20 in a password)".to_owned());
    }
    Ok(())
}

/// Splits a URL, and refuses what no form of ours has.
fn parse(text: &str, form: &str) -> Result<Url, String> {
    refuse_blanks(text)?;
    let url = Url::parse(text).map_err(|error| {
        // A raw "/", "?" or "#" in a password ends the host too early.
        format!("the store URL is not valid: {error}; write {form}, special characters as %XX")
    })?;
    if url.cannot_be_a_base() || !text.contains(":/") {
        return Err(format!("the store URL is not valid; write {form}"));
    }
    if url.fragment().is_some() {
        let name = harmless(url.fragment());
        return Err(format!(
            "the store URL ends in a fragment{name}, which means nothing here (\"#\" in a password is %23)"
        ));
    }
    Ok(url)
}

/// The user, and the password; a password alone is the default user's.
fn credentials(url: &Url) -> Result<(Option<String>, Option<Secret>), String> {
    let user = match url.username() {
        "" => None,
        user => Some(decode(user, "user")?),
    };
    let password = url
        .password()
        .map(|password| decode(password, "password"))
        .transpose()?;
    Ok((user, password.map(Secret::new)))
}

/// A user without a password is one of `nopass`, who logs in with any: with the empty one.
fn password_of(user: Option<&String>, password: Option<Secret>) -> Option<Secret> {
    password.or_else(|| user.map(|_| Secret::new(String::new())))
}

fn database(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| "the database in the store URL is a number: 0, 1, 2…".to_owned())
}

fn decode(text: &str, what: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("the {what} in the store URL is not UTF-8"))
}

/// ` "name"` of an option or fragment, but only if it cannot be a piece of a
/// password that had a raw `?` or `#` in it.
fn harmless(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let name = text.split('=').next().unwrap_or_default();
    let known = [
        "db", "database", "insecure", "timeout", "protocol", "ssl", "tls", "password",
    ];
    if !text.contains('@') && known.contains(&name) {
        return format!(" (\"{name}\")");
    }
    String::new()
}

#[cfg(test)]
mod tests;
