//! One connection to a server, every step of it under one absolute deadline.
//!
//! Name resolution, connect, TLS, AUTH, SELECT and each request end at the
//! deadline they are given, however slowly the server trickles. The `redis` crate
//! serves for the wire format only: its own connections clear our timeouts and do
//! not bound name resolution. After any [`Fault`] the connection is to be dropped:
//! an answer may still be on its way, and would be taken for the next one's.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use redis::{Parser, Value};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::probe::Protection;
use super::{Address, Server};
use crate::message::plain;
use crate::store::StoreError;

/// The longest answer we read, in bytes. Our scripts answer with less than 5 KiB
/// for each place of a lock, of which there are at most 1000, and for each of
/// the 100 waiters that are told of.
const ANSWER_MAX: usize = 6 * 1024 * 1024;

/// The most lines of an answer that we read: each value has one or two, and takes far more room
/// than it has bytes. Our scripts answer with less than 20 for each place.
const LINES_MAX: usize = 64 * 1024;

/// Why a connection is of no use any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection: refused, unresolvable, no such socket.
    Unreachable(String),
    /// The socket's permissions forbid it.
    Forbidden(String),
    /// No connection by the deadline.
    NotConnected,
    /// Connected, but no end of the TLS handshake by the deadline.
    NoHandshake,
    /// Connected, but no answer by the deadline.
    NoAnswer,
    /// The connection broke or was closed.
    Broken(String),
    /// The same, before anything was answered on it.
    HungUp(String),
    /// The TLS handshake or the TLS set-up failed.
    Tls(String),
    /// The first answer of this connection is not one of Redis.
    NotRedis,
    /// A later answer cannot be read.
    Garbled,
    /// AUTH or SELECT was answered with this error.
    Refused(String),
    /// Sentinel names no server that is the master.
    NoMaster(StoreError),
}

/// An open connection, logged in.
pub(super) struct Connection {
    stream: Stream,
    parser: Parser,
    answered: bool,
    awaited: Option<Arc<Awaited>>,
    /// Something was sent of which nobody reads the answer.
    has_more: bool,
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A socket whose every read and write ends at the deadline.
struct Timed {
    socket: Arc<Socket>,
    deadline: Instant,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The connection on which somebody waits for an answer, for others to send something behind
/// that request: a server that stood still carries out what was sent to it before, even when
/// nobody waits any more.
#[derive(Default)]
pub(super) struct Awaited(Mutex<Wait>);

#[derive(Default)]
struct Wait {
    /// None: nobody waits, or over TLS, where nobody but the waiting one can send.
    on: Option<Arc<Socket>>,
    has_more: bool,
}

impl Awaited {
    fn begin(&self, stream: &Stream) {
        if let Stream::Plain(timed) = stream {
            let mut wait = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            wait.on = Some(Arc::clone(&timed.socket));
        }
    }

    /// Says whether something was sent behind the request: the connection is to be dropped.
    fn end(&self) -> bool {
        let mut wait = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wait.on = None;
        mem::take(&mut wait.has_more)
    }

    /// Sends `packed` on that connection, if there is one and it takes it at once.
    pub(super) fn send_behind(&self, packed: &[u8]) {
        let mut wait = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = &wait.on {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            // What does not go out is what a broken connection would have lost.
            let _ = send(socket.descriptor().as_raw_fd(), packed, flags);
            wait.has_more = true;
        }
    }
}

impl Socket {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(tcp) => tcp.as_fd(),
            Socket::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Connection {
    /// Connects and logs in. Without password and with database 0 nothing is sent.
    pub(super) fn dial(server: &Server, deadline: Instant) -> Result<Connection, Fault> {
        let socket = match &server.address {
            Address::Tcp { host, port } => dial_tcp(host, *port, deadline)?,
            Address::Unix(path) => dial_unix(path.clone(), deadline)?,
        };
        let timed = Timed {
            socket: Arc::new(socket),
            deadline,
        };
        let stream = match (&server.tls, &server.address) {
            (Some(tls), Address::Tcp { host, .. }) => {
                let config = tls.config().map_err(Fault::Tls)?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| Fault::Tls("the host is no name for a certificate".to_owned()))?;
                let session = ClientConnection::new(config, name)
                    .map_err(|error| Fault::Tls(error.to_string()))?;
                Stream::Tls(Box::new(handshake(session, timed)?))
            }
            _ => Stream::Plain(timed),
        };
        let mut connection = Connection {
            stream,
            parser: Parser::new(),
            answered: false,
            awaited: None,
            has_more: false,
        };
        connection.log_in(server)?;
        Ok(connection)
    }

    /// Sends `packed`, as many commands as answers are asked for, and waits for these.
    pub(super) fn exchange<const N: usize>(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<[Value; N], Fault> {
        self.request(packed, deadline, |connection| {
            let mut values = [const { Value::Nil }; N];
            for value in &mut values {
                *value = connection.answer()?;
            }
            Ok(values)
        })
    }

    /// The same for as many as `count` says, but only the first ones if all together are longer
    /// than one answer may be.
    pub(super) fn exchange_all(
        &mut self,
        packed: &[u8],
        count: usize,
        deadline: Instant,
    ) -> Result<Vec<Value>, Fault> {
        self.request(packed, deadline, |connection| {
            let mut room = Room::default();
            let mut values = Vec::new();
            while values.len() < count {
                match connection.answer_within(&mut room) {
                    Err(_) if room.is_used_up() && !values.is_empty() => {
                        connection.has_more = true;
                        break;
                    }
                    answer => values.push(answer?),
                }
            }
            Ok(values)
        })
    }

    /// From now on `awaited` says when an answer is waited for.
    pub(super) fn tell(&mut self, awaited: &Arc<Awaited>) {
        self.awaited = Some(Arc::clone(awaited));
    }

    fn request<T>(
        &mut self,
        packed: &[u8],
        deadline: Instant,
        answers: impl FnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.stream.timed().deadline = deadline;
        if self.has_more {
            return Err(Fault::Broken("an answer is to come".to_owned()));
        }
        if self.answered {
            self.expect_nothing()?;
        }
        self.send(packed)?;
        let Some(awaited) = self.awaited.clone() else {
            return answers(self);
        };
        awaited.begin(&self.stream);
        let result = answers(self);
        self.has_more |= awaited.end();
        result
    }

    fn log_in(&mut self, server: &Server) -> Result<(), Fault> {
        let mut packed = Vec::new();
        let mut awaited = 0;
        if let Some(password) = &server.password {
            let mut auth = redis::cmd("AUTH");
            auth.arg(&server.user).arg(password.reveal());
            auth.write_packed_command(&mut packed);
            awaited += 1;
        }
        if server.database != 0 {
            redis::cmd("SELECT")
                .arg(server.database)
                .write_packed_command(&mut packed);
            awaited += 1;
        }
        if awaited == 0 {
            return Ok(());
        }
        self.send(&packed)?;
        for _ in 0..awaited {
            match self.answer()? {
                Value::Okay => {}
                Value::ServerError(error) => return Err(Fault::Refused(error_text(&error))),
                _ => return Err(Fault::NotRedis),
            }
        }
        Ok(())
    }

    /// What is there to read before a request is sent is no answer to it.
    fn expect_nothing(&mut self) -> Result<(), Fault> {
        let unasked = || Fault::Broken("the server sent what nobody asked for".to_owned());
        // The parser tells nobody what it has left: a mark behind it must be what it finds first.
        match self.parser.parse_value(&b"+mark\r\n"[..]) {
            Ok(Value::SimpleString(text)) if text == "mark" => {}
            _ => return Err(unasked()),
        }
        if !self.stream.timed().is_readable() {
            return Ok(());
        }
        // Of TLS it may be something that is not for us.
        match self.read_now(&mut [0])? {
            None => Ok(()),
            Some(_) => Err(unasked()),
        }
    }

    /// Reads away what has arrived without having been asked for; says whether there was any.
    pub(super) fn discard(&mut self, deadline: Instant) -> Result<bool, Fault> {
        self.stream.timed().deadline = deadline;
        let mut any = false;
        while self.read_now(&mut [0; 1024])?.is_some() {
            any = true;
        }
        Ok(any)
    }

    /// What protects it. None: nothing, or a session that was resumed without a certificate.
    pub(super) fn protection(&self) -> Option<Protection> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let certificate = stream.conn.peer_certificates()?.first()?;
        Some(Protection {
            protocol: format!("{:?}", stream.conn.protocol_version()?),
            certificate: certificate.to_vec(),
        })
    }

    /// Becomes readable when something arrives, or when the connection ends.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Plain(timed) => timed.descriptor(),
            Stream::Tls(stream) => stream.sock.descriptor(),
        }
    }

    /// Reads what has arrived, at least a byte of it, and never waits.
    fn read_now(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Fault> {
        self.stream.timed().set_blocking(false)?;
        let read = self.stream.read(buffer);
        self.stream.timed().set_blocking(true)?;
        match read.map_err(|error| fault_of(&error)) {
            Err(Fault::NoAnswer) => Ok(None),
            Err(fault) => Err(fault),
            Ok(0) => Err(Fault::Broken("the server closed the connection".to_owned())),
            Ok(count) => Ok(Some(count)),
        }
    }

    fn send(&mut self, packed: &[u8]) -> Result<(), Fault> {
        let sent = self
            .stream
            .write_all(packed)
            .and_then(|()| self.stream.flush());
        sent.map_err(|error| fault_of(&error))
    }

    fn answer(&mut self) -> Result<Value, Fault> {
        self.answer_within(&mut Room::default())
    }

    fn answer_within(&mut self, room: &mut Room) -> Result<Value, Fault> {
        let mut source = Source {
            stream: &mut self.stream,
            room,
            fault: None,
        };
        let parsed = self.parser.parse_value(&mut source);
        match (parsed, source.fault) {
            (Ok(value), _) => {
                self.answered = true;
                Ok(value)
            }
            (Err(_), Some(Fault::Broken(why))) if !self.answered => Err(Fault::HungUp(why)),
            (Err(_), Some(fault)) => Err(fault),
            (Err(_), None) if self.answered => Err(Fault::Garbled),
            (Err(_), None) => Err(Fault::NotRedis),
        }
    }
}

/// The text of an error answer as it came over the wire.
pub(super) fn error_text(error: &redis::ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// How much more is read.
struct Room {
    bytes: usize,
    lines: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room {
            bytes: ANSWER_MAX,
            lines: LINES_MAX,
        }
    }
}

impl Room {
    fn is_used_up(&self) -> bool {
        self.bytes == 0 || self.lines == 0
    }
}

/// What one answer is read from; remembers what went wrong below the parser.
struct Source<'a> {
    stream: &'a mut Stream,
    room: &'a mut Room,
    fault: Option<Fault>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.room.bytes);
        if room == 0 || self.room.is_used_up() {
            // No fault of the connection: an answer that long is not one of ours.
            return Err(io::ErrorKind::InvalidData.into());
        }
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => {
                self.fault = Some(Fault::Broken("the server closed the connection".to_owned()));
                Ok(0)
            }
            Ok(count) => {
                let ends = buffer[..count].iter().filter(|byte| **byte == b'\n');
                self.room.bytes -= count;
                self.room.lines = self.room.lines.saturating_sub(ends.count());
                Ok(count)
            }
            Err(error) => {
                self.fault = Some(fault_of(&error));
                Err(error)
            }
        }
    }
}

impl Stream {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Stream::Plain(timed) => timed,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(timed) => timed.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(timed) => timed.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(timed) => timed.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Timed {
    /// The time left, never zero: to a socket that would mean "for ever".
    fn left(&self) -> io::Result<Duration> {
        match self.deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Whether something has arrived, or the end of the connection.
    fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(self.descriptor(), PollFlags::POLLIN)];
        // If the call fails, so will the read that follows.
        poll(&mut fds, PollTimeout::ZERO) != Ok(0)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.descriptor()
    }

    fn set_blocking(&self, blocking: bool) -> Result<(), Fault> {
        let set = match &*self.socket {
            Socket::Tcp(tcp) => tcp.set_nonblocking(!blocking),
            Socket::Unix(unix) => unix.set_nonblocking(!blocking),
        };
        set.map_err(|error| fault_of(&error))
    }

    /// Repeats what a signal interrupted; a socket's timeout is EAGAIN.
    fn until_deadline(
        &mut self,
        mut step: impl FnMut(&Socket, Duration) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            match step(&self.socket, left) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                other => return other,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.until_deadline(|socket, left| match socket {
            Socket::Tcp(tcp) => {
                tcp.set_read_timeout(Some(left))?;
                (&*tcp).read(buffer)
            }
            Socket::Unix(unix) => {
                unix.set_read_timeout(Some(left))?;
                (&*unix).read(buffer)
            }
        })
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_deadline(|socket, left| match socket {
            Socket::Tcp(tcp) => {
                tcp.set_write_timeout(Some(left))?;
                (&*tcp).write(bytes)
            }
            Socket::Unix(unix) => {
                unix.set_write_timeout(Some(left))?;
                (&*unix).write(bytes)
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn handshake(
    mut session: ClientConnection,
    mut timed: Timed,
) -> Result<StreamOwned<ClientConnection, Timed>, Fault> {
    while session.is_handshaking() {
        session
            .complete_io(&mut timed)
            .map_err(|error| match fault_of(&error) {
                Fault::NoAnswer => Fault::NoHandshake,
                Fault::Broken(text) => Fault::Broken(format!("{text} during the TLS handshake")),
                other => other,
            })?;
    }
    Ok(StreamOwned::new(session, timed))
}

/// Tries each address of `host`, each with its share of the time that is left:
/// one that leads nowhere must not use up the time of the next.
fn dial_tcp(host: &str, port: u16, deadline: Instant) -> Result<Socket, Fault> {
    let addresses = resolve(host, port, deadline)?;
    let mut fault = Fault::Unreachable("its name has no address".to_owned());
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        if share.is_zero() {
            return Err(Fault::NotConnected);
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(tcp) => {
                // An optimisation: a socket without it serves as well.
                let _ = tcp.set_nodelay(true);
                return Ok(Socket::Tcp(tcp));
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => fault = Fault::NotConnected,
            Err(error) => fault = Fault::Unreachable(plain(&error)),
        }
    }
    Err(fault)
}

fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.to_owned();
    let lookup = move || {
        (name.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect)
    };
    aside(deadline, lookup)?.map_err(|error| Fault::Unreachable(plain(&error)))
}

/// Connecting to a unix socket blocks while the server's backlog is full, and std has no timeout for it.
fn dial_unix(path: PathBuf, deadline: Instant) -> Result<Socket, Fault> {
    match aside(deadline, move || UnixStream::connect(path))? {
        Ok(unix) => Ok(Socket::Unix(unix)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Fault::Forbidden(plain(&error)))
        }
        Err(error) => Err(Fault::Unreachable(plain(&error))),
    }
}

/// Runs `step`, which cannot be interrupted, in a thread of its own that is left behind at the deadline.
fn aside<T: Send + 'static>(
    deadline: Instant,
    step: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let (done, result) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("dial".to_owned())
        .spawn(move || {
            // Nobody listens any more after the deadline.
            let _ = done.send(step());
        })
        .map_err(|error| Fault::Unreachable(plain(&error)))?;
    // A thread that died sent nothing, which is the same to us.
    result
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .map_err(|_| Fault::NotConnected)
}

fn fault_of(error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::TimedOut {
        return Fault::NoAnswer;
    }
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(tls) => Fault::Tls(tls.to_string()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::Broken("the server closed the connection".to_owned())
        }
        None => Fault::Broken(plain(error)),
    }
}
