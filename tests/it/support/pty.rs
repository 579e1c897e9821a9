//! A terminal: a program as the leader of its session, or as a job of an interactive bash.
//!
//! A program is started when its terminal is returned: keys typed from then on reach it and not
//! a copy of the test process on its way there. Whether it is ready for them is for the test to see
//! on the screen. Echo is off, so that the screen shows only what programs write.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::setsid;

use super::running::{Guard, Home, WATCHDOG};
use super::some_within;
use super::tasklock::Tasklock;

/// What [`Terminal::bash`] shows when it waits for a command.
const PROMPT: &str = "<prompt>";

/// A terminal and the program that leads its session. Hung up on drop, and all its programs killed.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// The test's end; `None` once it is hung up.
    master: Option<File>,
    reader: Option<JoinHandle<()>>,
    /// Closing it ends the reader, which holds the terminal open as well.
    stop_reader: Option<UnixStream>,
    screen: Arc<Mutex<String>>,
    /// How much of the screen has been waited for already.
    passed: usize,
    leader: Guard,
    home: Home,
}

impl Terminal {
    /// An interactive bash with job control, at its prompt.
    #[track_caller]
    pub(crate) fn bash() -> Terminal {
        let shell = Tasklock::instead("bash").args(["--norc", "--noprofile", "--noediting", "-i"]);
        let mut terminal = shell.env("PS1", PROMPT).env("TERM", "dumb").on_terminal();
        terminal.wait_for(PROMPT);
        terminal
    }

    /// Starts `command` as the leader of a new session on a new terminal.
    #[track_caller]
    pub(super) fn start(mut command: Command, home: Home) -> Terminal {
        // Not openpty: its descriptors would be inherited by every program started meanwhile,
        // and a terminal that somebody else holds open never hangs up.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let slave = options.open(ptsname_r(&master).unwrap()).unwrap();
        let mut settings = tcgetattr(&slave).unwrap();
        settings.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&slave, SetArg::TCSANOW, &settings).unwrap();

        command.stdin(slave.try_clone().unwrap());
        command.stdout(slave.try_clone().unwrap());
        command.stderr(Stdio::from(slave));
        let before_exec = || {
            setsid()?;
            // SAFETY: descriptor 0 is the terminal; the call takes no pointer.
            #[allow(unsafe_code, reason = "nix has no call for it")]
            let result = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
            Ok(nix::errno::Errno::result(result).map(drop)?)
        };
        // SAFETY: setsid and ioctl are async-signal-safe.
        #[allow(unsafe_code, reason = "the only way to take a controlling terminal")]
        unsafe {
            command.pre_exec(before_exec);
        }
        let leader = Guard(command.spawn().unwrap());
        drop(command); // and with it our copies of the slave

        let master = File::from(OwnedFd::from(master));
        let screen = Arc::new(Mutex::new(String::new()));
        let (stop_reader, stop) = UnixStream::pair().unwrap();
        let reader = {
            let (source, screen) = (master.try_clone().unwrap(), Arc::clone(&screen));
            thread::spawn(move || read_screen(source, &stop, &screen))
        };
        Terminal {
            master: Some(master),
            reader: Some(reader),
            stop_reader: Some(stop_reader),
            screen,
            passed: 0,
            leader,
            home,
        }
    }

    /// Types `keys`: `"\x03"` is ^C, `"\x1a"` is ^Z, `"\x1c"` is ^\, `"\x04"` is ^D.
    pub(crate) fn type_keys(&mut self, keys: &str) {
        let mut master = self.master.as_ref().expect("the terminal is hung up");
        master.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.type_keys(&format!("{line}\n"));
    }

    /// Waits until `fragment` appears after what was waited for before; returns the screen up to its end.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, fragment: &str) -> String {
        let from = self.passed;
        let end = some_within(WATCHDOG, || {
            let found = self.screen()[from..].find(fragment);
            found.map(|at| from + at + fragment.len())
        });
        let screen = self.screen();
        let Some(end) = end else {
            panic!("no {fragment:?} after the first {from} bytes of the screen:\n{screen}");
        };
        self.passed = end;
        screen[from..end].to_owned()
    }

    /// Waits for the next prompt of [`Terminal::bash`]; returns what was shown before it.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&mut self) -> String {
        let shown = self.wait_for(PROMPT);
        shown.trim_end_matches(PROMPT).to_owned()
    }

    /// Types a line to [`Terminal::bash`], and returns what was shown up to the next prompt.
    #[track_caller]
    pub(crate) fn shell(&mut self, line: &str) -> String {
        self.type_line(line);
        self.wait_for_prompt()
    }

    /// All that was shown so far.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// The leader of the session.
    pub(crate) fn pid(&self) -> i32 {
        self.leader.0.id() as i32
    }

    /// The living processes that were started on this terminal and their children, the leader included.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.home.processes()
    }

    /// Changes the size of the window, of which the kernel tells the foreground job (SIGWINCH).
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let master = self.master.as_ref().expect("the terminal is hung up");
        // SAFETY: the descriptor is open, and `size` is what the request reads.
        #[allow(unsafe_code, reason = "nix has no call for it")]
        let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        nix::errno::Errno::result(result).unwrap();
    }

    /// Closes the terminal as a lost connection does.
    pub(crate) fn hang_up(&mut self) {
        self.stop_reader = None;
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.master = None;
    }

    /// Waits for the end of the leader.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = some_within(WATCHDOG, || self.leader.0.try_wait().unwrap());
        status.unwrap_or_else(|| panic!("it hangs; the screen:\n{}", self.screen()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Adds what is written to `screen` until `stop` is closed or nobody is left to write.
fn read_screen(mut source: File, stop: &UnixStream, screen: &Mutex<String>) {
    let mut pending = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let mut watched = [
            PollFd::new(source.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut watched, PollTimeout::NONE).unwrap();
        if watched[1].any() == Some(true) {
            return;
        }
        // EIO: no program has the terminal open any more.
        let Ok(length @ 1..) = source.read(&mut chunk) else {
            return;
        };
        pending.extend_from_slice(&chunk[..length]);
        // A character may come in two pieces.
        let whole = match std::str::from_utf8(&pending) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => pending.len(),
        };
        let text: Vec<u8> = pending.drain(..whole).collect();
        screen
            .lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(&text));
    }
}
