//! The person on call looks at locks: `status`, `list`, `history`, `unlock`, on a server and on
//! lock files, in a pipe and at a terminal.

use crate::support::pty::Terminal;
use crate::support::redis::Server;
use crate::support::running::{Finished, Running};
use crate::support::scratch::{Gate, Scratch};
use crate::support::tasklock::Tasklock;

mod history;
mod list;
mod screenshots;
mod status;
mod unlock;
mod watch;

/// A store of locks, and a directory to work in.
struct Site {
    url: String,
    work: Scratch,
    server: Option<Server>,
    _locks: Option<Scratch>,
}

impl Site {
    fn redis() -> Site {
        let server = Server::start();
        Site {
            url: server.url(),
            work: Scratch::new(),
            server: Some(server),
            _locks: None,
        }
    }

    fn local() -> Site {
        let locks = Scratch::new();
        Site {
            url: format!("local:{}", locks.path().display()),
            work: Scratch::new(),
            server: None,
            _locks: Some(locks),
        }
    }

    /// Does `test` on each store.
    fn each(test: impl Fn(&Site)) {
        test(&Site::redis());
        test(&Site::local());
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// `tasklock --name NAME --url …`
    fn job(&self, name: &str) -> Tasklock {
        Tasklock::named(name, &self.url)
    }

    /// A run to its end, of a command that exits with `code`.
    fn ran(&self, name: &str, code: i32) {
        let run = self.job(name).arg("-q").sh(&format!("exit {code}")).run();
        run.expect_code(code);
    }

    /// A subcommand.
    fn asking(&self, words: &[&str]) -> Tasklock {
        let subcommand = Tasklock::new().args(words.iter().copied());
        subcommand.env("TASKLOCK_URL", self.url.as_str())
    }

    fn ask(&self, words: &[&str]) -> Finished {
        self.asking(words).run()
    }

    /// The same on a terminal with colours.
    fn at_terminal(&self, words: &[&str]) -> Terminal {
        self.asking(words).env("TERM", "xterm").on_terminal()
    }

    /// What it shows on such a terminal that is `columns` wide, from the first prompt to the next.
    fn shown(&self, words: &str, columns: u16, setup: &str) -> String {
        let mut terminal = Terminal::bash();
        terminal.resize(24, columns);
        terminal.shell(&format!(
            "export TASKLOCK_URL='{}' TERM=xterm; {setup}",
            self.url
        ));
        let shown = terminal.shell(&format!("'{TASKLOCK}' {words}"));
        shown.replace("\r\n", "\n")
    }

    /// `run` with a command that goes on until the gate opens. Returns once it has started.
    #[track_caller]
    fn hold(&self, run: Tasklock) -> (Running, Gate) {
        let mark = format!("up{}", std::fs::read_dir(self.work.path()).unwrap().count());
        let gate = self.work.gate(&format!("gate-{mark}"));
        let path = self.work.file(&mark);
        let script = format!(
            "echo up > {}; read _ < {}",
            path.display(),
            gate.path().display()
        );
        let running = run.sh(&script).start();
        self.work.wait_for_line(&mark);
        (running, gate)
    }

    /// A run that stands in line.
    #[track_caller]
    fn wait_in_line(&self, run: Tasklock) -> Running {
        let mut waiter = run.args(["--wait", "forever", "true"]).start();
        waiter.wait_for_stderr("waiting for");
        waiter
    }
}

/// The program itself, for shells.
const TASKLOCK: &str = env!("CARGO_BIN_EXE_tasklock");

/// No line steers a terminal.
#[track_caller]
fn expect_harmless(text: &str) {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!text.contains(steers), "{text:?}");
}
