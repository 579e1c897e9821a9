//! A lock that is held from one step to another: `acquire`, `refresh`, `release`, `check`.

use serde_json::Value;

use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

mod acquiring;
mod checking;
mod ending;
mod keeping;

/// The program itself, for scripts that start it.
const TASKLOCK: &str = env!("CARGO_BIN_EXE_tasklock");

/// A store, and a directory to work in.
struct Site {
    url: String,
    work: Scratch,
    _alive: (Scratch, Option<Server>),
}

impl Site {
    fn local() -> Site {
        let locks = Scratch::new();
        Site {
            url: format!("local:{}", locks.path().display()),
            work: Scratch::new(),
            _alive: (locks, None),
        }
    }

    fn redis() -> Site {
        let server = Server::start();
        Site {
            url: server.url(),
            work: Scratch::new(),
            _alive: (Scratch::new(), Some(server)),
        }
    }

    fn both() -> [Site; 2] {
        [Site::local(), Site::redis()]
    }

    fn server(&self) -> &Server {
        self._alive.1.as_ref().unwrap()
    }

    /// `tasklock WORDS job --url …`
    fn ask(&self, words: &str) -> Tasklock {
        Tasklock::new()
            .args(words.split_whitespace())
            .arg("job")
            .url(&self.url)
    }

    /// The same, run to its end.
    fn run(&self, words: &str) -> Finished {
        self.ask(words).run()
    }

    /// Takes the lock, and what was printed of it.
    #[track_caller]
    fn acquire(&self, options: &str) -> Value {
        let run = self.run(&format!("acquire --json --ttl 5m {options}"));
        run.expect_code(0).expect_silent();
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// A script with the program as `tasklock` and the store in its environment.
    fn script(&self, shell: &str, text: &str) -> Finished {
        let text = format!("tasklock() {{ {TASKLOCK} \"$@\"; }}\n{text}");
        Tasklock::instead(shell)
            .args(["-c", &text])
            .env("TASKLOCK_URL", &self.url)
            .directory(self.work.path())
            .run()
    }

    #[track_caller]
    fn expect_held(&self) {
        self.run("status").expect_code(75);
    }

    /// Nobody holds the lock or waits for it.
    #[track_caller]
    fn expect_free(&self) {
        let status = self.run("status");
        status.expect_code(0);
        assert!(status.stdout.contains("free"), "{status}");
    }
}
