//! The proxy's connections: what becomes of each request and each reply.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use tasklock::clock::{self, Tick};

use super::{Loss, Mode};
use crate::support::resp;

/// How `AUTH user password` begins.
const LOGIN: &str = "*3\r\n$4\r\nauth\r\n";

#[derive(Debug, Default)]
pub(super) struct State {
    /// None is [`Mode::Pass`].
    pub(super) mode: Option<Mode>,
    /// What is different for some users.
    pub(super) modes: HashMap<String, Mode>,
    pub(super) closing: bool,
    pub(super) to_lose: Option<(String, Loss)>,
    pub(super) lost: usize,
    pub(super) to_hold: Option<String>,
    pub(super) holding: usize,
    /// Those that are open, and some that have ended.
    pub(super) links: Vec<Weak<Link>>,
    pub(super) connections: usize,
    pub(super) requests: Vec<Vec<u8>>,
    pub(super) replies: usize,
    pub(super) last_reply: Option<Tick>,
    pub(super) last_confirmed: Option<Tick>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    /// Whether copies of the requests are kept.
    pub(super) remembers: bool,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

/// One client's connection and the one made to the server for it.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    /// As whom the client has logged in.
    user: OnceLock<String>,
    /// What is to become of the replies that are still to come, in order.
    fates: Mutex<VecDeque<Fate>>,
}

/// What is to become of a reply.
#[derive(Debug)]
struct Fate {
    loss: Option<Loss>,
    /// When its request was passed on, read just before.
    forwarded: Tick,
}

impl Link {
    pub(super) fn close(&self) {
        for stream in [&self.client, &self.server] {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn mode_of(&self, link: &Link) -> Option<Mode> {
        let user = link.user.get();
        let own = user.and_then(|user| self.modes.get(user));
        own.copied().or(self.mode)
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            // A client whose server is down sees its connection closed.
            if let Ok(server) = TcpStream::connect(self.upstream) {
                self.link(client, server);
            }
        }
    }

    fn link(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let link = Arc::new(Link {
            client,
            server,
            user: OnceLock::new(),
            fates: Mutex::default(),
        });
        let mut state = self.state();
        state.connections += 1;
        state.links.retain(|link| link.strong_count() > 0);
        state.links.push(Arc::downgrade(&link));
        drop(state);
        let (shared, other) = (Arc::clone(self), Arc::clone(&link));
        thread::spawn(move || {
            let _ = messages(&link.client, |request| shared.request(&link, request));
            let _ = link.server.shutdown(Shutdown::Write);
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let _ = messages(&other.server, |reply| shared.reply(&other, reply));
            let _ = other.client.shutdown(Shutdown::Both);
        });
    }

    fn request(&self, link: &Link, request: &[u8]) -> std::io::Result<()> {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        if text.starts_with(LOGIN)
            && let Some(user) = resp::words(request).into_iter().nth(1)
        {
            let _ = link.user.set(user); // the first one stays
        }
        let mut state = self.state();
        if self.remembers {
            state.requests.push(request.to_vec());
        }
        self.changed.notify_all();
        if state.mode_of(link) == Some(Mode::BlackHole) {
            return Ok(());
        }
        let lose = state.to_lose.take_if(|(part, _)| text.contains(&*part));
        let mut fates = link.fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.push_back(Fate {
            loss: lose.map(|(_, how)| how),
            forwarded: clock::now(),
        });
        drop(fates);
        if state
            .to_hold
            .take_if(|part| text.contains(&*part))
            .is_some()
        {
            state.holding += 1;
            let held = |state: &mut State| state.holding > 0;
            let wait = self.changed.wait_while(state, held);
            state = wait.unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        (&link.server).write_all(request)
    }

    fn reply(&self, link: &Link, reply: &[u8]) -> std::io::Result<()> {
        let mut fates = link.fates.lock().unwrap_or_else(PoisonError::into_inner);
        // A message that nobody asked for (of a subscription) finds no fate, and passes.
        let fate = fates.pop_front();
        drop(fates);
        let mut state = self.state();
        if let Some(how) = fate.as_ref().and_then(|fate| fate.loss) {
            state.lost += 1;
            if how == Loss::Cut {
                let _ = link.client.shutdown(Shutdown::Both);
            }
            return Ok(());
        }
        if let Some(Mode::Delay(time)) = state.mode_of(link) {
            let open = |state: &mut State| !state.closing;
            let wait = self.changed.wait_timeout_while(state, time, open);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mode = state.mode_of(link);
        if matches!(mode, Some(Mode::BlackHole | Mode::SwallowReplies)) {
            return Ok(());
        }
        let piece = match mode {
            Some(Mode::Dribble) => 1,
            _ => reply.len(),
        };
        state.replies += 1;
        state.last_reply = Some(clock::now());
        state.last_confirmed = fate.map(|fate| fate.forwarded).or(state.last_confirmed);
        drop(state);
        let mut pieces = reply.chunks(piece);
        pieces.try_for_each(|piece| (&link.client).write_all(piece))
    }
}

/// Calls `each` with every message of `stream` until one of them ends.
fn messages(
    mut stream: &TcpStream,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    /// What begins a message on a plain connection; a TLS record begins with 20 to 23.
    const PLAIN: &[u8] = b"*$+-:_,#!=(%~>|";
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    let mut plain = None;
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..length]);
        if !*plain.get_or_insert_with(|| PLAIN.contains(&buffer[0])) {
            each(&std::mem::take(&mut buffer))?;
            continue;
        }
        while let Some(length) = resp::message_length(&buffer) {
            let message: Vec<u8> = buffer.drain(..length).collect();
            each(&message)?;
        }
    }
}
