//! A Redis or Valkey server of the test's own.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use redis::Value;

pub(crate) use self::builder::Builder;
use self::builder::binary;
use super::monitor::Monitor;
use super::port::free_port;
use super::resp::{self, Connection};
use super::scratch::Scratch;
use super::{PATIENCE, process, some_within, wait_for_some};

mod builder;

/// The tests' own login: it works whatever a test does to the default user, and is seen in no count.
const LOGIN: (&str, &str) = ("harness", "harness");

/// A running server: temporary directory, unix socket, port on 127.0.0.1. Killed on drop.
pub(crate) struct Server {
    dir: Scratch,
    port: u16,
    tls_port: Option<u16>,
    config: String,
    environment: Vec<(&'static str, PathBuf)>,
    sentinel: bool,
    process: Mutex<Option<Child>>,
    connection: Mutex<Option<Connection>>,
    own_addresses: Mutex<Vec<String>>,
}

impl Server {
    /// A server that keeps everything in memory only.
    #[track_caller]
    pub(crate) fn start() -> Server {
        Builder::default().start()
    }

    /// A server, or a Sentinel, that is not started yet.
    fn new(config: &str, tls_port: Option<u16>, sentinel: bool) -> Server {
        Server {
            dir: Scratch::new(),
            port: free_port(),
            tls_port,
            config: config.to_owned(),
            environment: Vec::new(),
            sentinel,
            process: Mutex::default(),
            connection: Mutex::default(),
            own_addresses: Mutex::default(),
        }
    }

    /// A server with more to its configuration.
    pub(crate) fn with() -> Builder {
        Builder::default()
    }

    /// `redis://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// `rediss://127.0.0.1:PORT`, of a server built with [`Builder::tls`].
    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.tls_port.unwrap())
    }

    /// `unix:///PATH`
    pub(crate) fn unix_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Where its plain port listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where its TLS port listens.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.tls_port.unwrap()).into()
    }

    /// Sends a command as the tests' own user and returns the answer.
    ///
    /// # Panics
    /// If the answer is an error; [`Server::try_command`] returns it.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> Value {
        self.try_command(words)
            .unwrap_or_else(|error| panic!("{words:?} answered: {error}"))
    }

    /// Sends a command; an error of the server's comes back as its text, code first.
    #[track_caller]
    pub(crate) fn try_command(&self, words: &[&str]) -> Result<Value, String> {
        let mut slot = lock(&self.connection);
        // A kept connection may be closed: Sentinel does that when it changes a server's role.
        let mut kept = slot.take();
        let answer = kept.as_mut().and_then(|kept| kept.call(words).ok());
        let answer = answer.unwrap_or_else(|| {
            let fresh = kept.insert(self.connect().unwrap());
            let answer = fresh.call(words);
            answer.unwrap_or_else(|error| panic!("no answer to {words:?}: {error}"))
        });
        *slot = kept;
        match answer {
            Value::ServerError(error) => Err(format!(
                "{} {}",
                error.code(),
                error.details().unwrap_or_default()
            )),
            value => Ok(value),
        }
    }

    /// A string that a command answered; `None` for nil.
    #[track_caller]
    pub(crate) fn text(&self, words: &[&str]) -> Option<String> {
        match self.command(words) {
            Value::Nil => None,
            Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Value::SimpleString(text) => Some(text),
            other => panic!("{words:?} answered {other:?}, not a string"),
        }
    }

    /// A number that a command answered.
    #[track_caller]
    pub(crate) fn number(&self, words: &[&str]) -> i64 {
        match self.command(words) {
            Value::Int(number) => number,
            other => panic!("{words:?} answered {other:?}, not a number"),
        }
    }

    /// The fields of `INFO section`.
    #[track_caller]
    pub(crate) fn info(&self, section: &str) -> HashMap<String, String> {
        resp::info_fields(&self.command(&["INFO", section]))
    }

    /// Begins to record what clients other than the tests themselves send. Ends with the server.
    #[track_caller]
    pub(crate) fn monitor(&self) -> Monitor<'_> {
        Monitor::start(self, self.connect().unwrap())
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> i32 {
        let process = lock(&self.process);
        process.as_ref().expect("the server is down").id() as i32
    }

    /// Stops the process in mid-air: connections stay up, nothing answers.
    pub(crate) fn freeze(&self) {
        process::freeze(self.pid());
    }

    /// Ends a [`Server::freeze`].
    pub(crate) fn thaw(&self) {
        process::thaw(self.pid());
    }

    /// Whether it runs, and does not stand still.
    pub(crate) fn can_answer(&self) -> bool {
        let process = lock(&self.process);
        process
            .as_ref()
            .is_some_and(|child| !process::stopped(child.id() as i32))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&self) {
        self.end(Signal::SIGKILL);
    }

    /// Ends it in order: it saves what its configuration says.
    pub(crate) fn stop(&self) {
        self.end(Signal::SIGTERM);
    }

    /// Starts it again on the same port and directory, after stopping it if it runs.
    #[track_caller]
    pub(crate) fn restart(&self) {
        self.stop();
        self.start_again(&[]);
    }

    /// Starts it after a [`Server::kill`] or [`Server::stop`], with `more` words to its command
    /// line, like `--appendonly yes`.
    #[track_caller]
    pub(crate) fn start_again(&self, more: &[&str]) {
        // Another program may have taken the port for a moment.
        wait_for_some(|| self.launch_with(more).then_some(()));
    }

    /// The addresses that the tests themselves connected from.
    pub(super) fn own_addresses(&self) -> Vec<String> {
        lock(&self.own_addresses).clone()
    }

    /// The port that others in a Cluster know it by: the TLS port of one that has it.
    pub(crate) fn cluster_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }

    fn socket(&self) -> PathBuf {
        self.dir.file("redis.sock")
    }

    fn log(&self) -> String {
        self.dir.read("log")
    }

    fn connect(&self) -> std::io::Result<Connection> {
        let connection = Connection::open(self.address(), LOGIN)?;
        lock(&self.own_addresses).push(connection.local_address().to_string());
        Ok(connection)
    }

    /// Starts the process and waits until it answers; false if its port was taken.
    #[track_caller]
    fn launch(&self) -> bool {
        self.launch_with(&[])
    }

    #[track_caller]
    fn launch_with(&self, more: &[&str]) -> bool {
        let program = binary(self.tls_port.is_some());
        let log = File::create(self.dir.file("log")).unwrap();
        let child = Command::new(&program)
            .arg(self.write_config())
            .args(self.sentinel.then_some("--sentinel"))
            .args(more)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", program.display()));
        *lock(&self.process) = Some(child);
        let ready = some_within(PATIENCE, || {
            let mut process = lock(&self.process);
            if process.as_mut()?.try_wait().unwrap().is_some() {
                *process = None;
                return Some(false);
            }
            drop(process);
            self.answers().then_some(true)
        });
        let log = self.log();
        match ready {
            Some(true) => true,
            Some(false) if log.contains("Failed listening") || log.contains("already in use") => {
                false
            }
            Some(false) if log.contains(">>> 'tls-") && log.contains("Bad directive") => panic!(
                "{} was built without TLS: name a server with it in REDIS_TLS_SERVER",
                program.display()
            ),
            Some(false) => panic!("the server ended at once:\n{log}"),
            None => panic!("the server does not answer:\n{log}"),
        }
    }

    /// Does this server answer, and not another one on its port?
    fn answers(&self) -> bool {
        let Ok(mut connection) = self.connect() else {
            return false;
        };
        let pong = connection.call(&["PING"]);
        let Ok(info) = connection.call(&["INFO", "server"]) else {
            return false;
        };
        let ours = resp::info_fields(&info).get("process_id") == Some(&self.pid().to_string());
        ours && matches!(pong, Ok(Value::SimpleString(text)) if text == "PONG")
    }

    fn write_config(&self) -> PathBuf {
        let (login, password) = LOGIN;
        let tls_port = self.tls_port.unwrap_or(0);
        let tls = if tls_port == 0 {
            String::new() // the word is unknown to a server built without TLS
        } else {
            format!("tls-port {tls_port}\n")
        };
        // A Sentinel has neither data nor a socket.
        let data = if self.sentinel {
            String::new()
        } else {
            let socket = self.socket();
            format!(
                "unixsocket {}\nsave \"\"\nappendonly no\n",
                socket.display()
            )
        };
        let text = format!(
            "bind 127.0.0.1\nport {}\n{tls}dir {}\n{data}\
             user {login} on >{password} ~* &* +@all\n{}",
            self.port,
            self.dir.path().display(),
            self.config,
        );
        self.dir.write("redis.conf", text)
    }

    fn end(&self, signal: Signal) {
        *lock(&self.connection) = None;
        if let Some(mut child) = lock(&self.process).take() {
            let pid = child.id() as i32;
            process::send(pid, signal);
            process::thaw(pid);
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A test that panicked while it held a lock has said enough; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
