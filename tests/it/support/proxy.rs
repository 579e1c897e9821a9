//! A network of the test's own: a TCP proxy in front of a server, failing on demand.
//!
//! On a plain connection it works in whole requests and replies, whatever pieces they arrive in.
//! On a TLS connection it sees only pieces; modes, [`Proxy::cut`] and [`Proxy::refuse`] work the same,
//! losing and holding do not.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tasklock::clock::Tick;

use self::link::{Shared, State};
use super::port::free_port;
use super::{PATIENCE, resp, wait_for_some, wait_until};

mod link;

/// What happens to bytes that pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They pass.
    Pass,
    /// Connections are accepted, and everything is swallowed in both directions.
    BlackHole,
    /// Requests reach the server; no reply comes back.
    SwallowReplies,
    /// Each reply waits this long.
    Delay(Duration),
    /// Replies come in pieces of one byte.
    Dribble,
}

/// How a reply gets lost after the server has done the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The connection stays up and nothing comes.
    Silent,
    /// The connection is closed instead.
    Cut,
}

/// The listening socket, and the thread that serves it.
type Acceptor = (TcpListener, JoinHandle<()>);

/// The proxy. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Mutex<Option<Acceptor>>,
}

impl Proxy {
    /// Listens on a port of its own and passes everything on to `upstream`.
    pub(crate) fn start(upstream: SocketAddr) -> Proxy {
        Proxy::before(upstream, true)
    }

    /// The same without a copy of each request, for hours: [`Proxy::requests`] has none.
    pub(crate) fn start_for_long(upstream: SocketAddr) -> Proxy {
        Proxy::before(upstream, false)
    }

    fn before(upstream: SocketAddr, remembers: bool) -> Proxy {
        let proxy = Proxy {
            shared: Arc::new(Shared {
                upstream,
                remembers,
                state: Mutex::new(State::default()),
                changed: Condvar::new(),
            }),
            address: (Ipv4Addr::LOCALHOST, free_port()).into(),
            acceptor: Mutex::new(None),
        };
        proxy.accept();
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// `rediss://127.0.0.1:PORT`, in front of a TLS port.
    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://{}", self.address)
    }

    /// Switches, for connections that exist and for new ones. What was swallowed does not come again.
    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.shared.state();
        state.mode = Some(mode);
        state.modes.clear();
        self.shared.changed.notify_all();
    }

    /// The same for those alone who log in as `user`, from their first request after that on.
    pub(crate) fn set_for(&self, user: &str, mode: Mode) {
        self.shared.state().modes.insert(user.to_owned(), mode);
        self.shared.changed.notify_all();
    }

    /// Closes all connections; new ones are welcome.
    pub(crate) fn cut(&self) {
        for link in self.shared.state().links.drain(..) {
            if let Some(link) = link.upgrade() {
                link.close();
            }
        }
    }

    /// Refuses new connections, until [`Proxy::accept`]. Those that exist stay.
    pub(crate) fn refuse(&self) {
        if let Some((listener, thread)) = self.acceptor().take() {
            // Closing is not enough: a process that another test is just starting has a copy of
            // the descriptor until it executes. A shutdown ends the listening itself.
            let _ = TcpStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
            thread.join().unwrap();
        }
    }

    /// Ends a [`Proxy::refuse`].
    pub(crate) fn accept(&self) {
        let mut acceptor = self.acceptor();
        if acceptor.is_none() {
            let listener = wait_for_some(|| TcpListener::bind(self.address).ok());
            let copy = listener.try_clone().unwrap();
            let shared = Arc::clone(&self.shared);
            *acceptor = Some((copy, thread::spawn(move || shared.serve(&listener))));
        }
    }

    /// Passes the next request that contains `fragment` (in any case) on, and loses its reply.
    pub(crate) fn lose_reply_to(&self, fragment: &str, how: Loss) {
        self.shared.state().to_lose = Some((fragment.to_ascii_lowercase(), how));
    }

    /// Keeps the next request that contains `fragment` (in any case), and all behind it on its
    /// connection, until [`Proxy::let_go`]: it reaches the server even if the client is gone by then.
    pub(crate) fn hold_request(&self, fragment: &str) {
        self.shared.state().to_hold = Some(fragment.to_ascii_lowercase());
    }

    /// Passes on what [`Proxy::hold_request`] kept.
    pub(crate) fn let_go(&self) {
        let mut state = self.shared.state();
        state.to_hold = None;
        state.holding = 0;
        self.shared.changed.notify_all();
    }

    /// Waits until a request is kept by [`Proxy::hold_request`].
    #[track_caller]
    pub(crate) fn wait_for_hold(&self) {
        wait_until(|| self.shared.state().holding > 0);
    }

    /// Waits until the server has answered a request of [`Proxy::lose_reply_to`] and the answer is lost.
    #[track_caller]
    pub(crate) fn wait_for_loss(&self) {
        wait_until(|| self.shared.state().lost > 0);
    }

    /// Waits until at least `count` requests were seen since the start, those swallowed included.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let state = self.shared.state();
        let enough = |state: &mut State| state.requests.len() < count;
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, enough)
            .unwrap_or_else(PoisonError::into_inner);
        let seen = state.requests.len();
        assert!(seen >= count, "{seen} requests came instead of {count}");
    }

    /// The requests seen since the start, each with its words; those swallowed included.
    pub(crate) fn requests(&self) -> Vec<Vec<String>> {
        let requests = self.shared.state().requests.clone();
        requests
            .iter()
            .map(|request| resp::words(request))
            .collect()
    }

    /// How many connections were made since the start.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// How many replies it let through.
    pub(crate) fn replies(&self) -> usize {
        self.shared.state().replies
    }

    /// When it began to let its last reply through.
    pub(crate) fn last_reply(&self) -> Option<Tick> {
        self.shared.state().last_reply
    }

    /// When it passed on the request whose reply it let through last, read just before: a lease
    /// that the reply confirms began then or later.
    pub(crate) fn last_confirmed(&self) -> Option<Tick> {
        self.shared.state().last_confirmed
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Acceptor>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.let_go();
        self.refuse();
        self.cut();
    }
}
