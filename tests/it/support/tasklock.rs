//! The program under test, and how it is started.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::setsid;

use super::pty::Terminal;
use super::running::{Finished, Guard, Home, Running};
use super::scratch::Scratch;

/// A run in preparation; a clone is another run with the same arguments.
///
/// Its environment is `PATH` and a `HOME` of its own, its input is empty, no signal is ignored or
/// blocked, and it has no controlling terminal. Its output goes to files, so that a survivor that keeps them open hangs no test.
#[derive(Clone, Debug)]
pub(crate) struct Tasklock {
    under: Vec<String>,
    words: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    input: Option<String>,
    directory: Option<OsString>,
    ignored: Vec<Signal>,
    blocked: Vec<Signal>,
}

impl Tasklock {
    /// `tasklock` without arguments.
    pub(crate) fn new() -> Tasklock {
        Tasklock::instead(env!("CARGO_BIN_EXE_tasklock"))
    }

    /// `tasklock --name NAME --url URL`
    pub(crate) fn named(name: &str, url: &str) -> Tasklock {
        Tasklock::new().args(["--name", name]).url(url)
    }

    /// Another program in the same surroundings.
    pub(crate) fn instead(program: &str) -> Tasklock {
        Tasklock {
            under: Vec::new(),
            words: vec![program.into()],
            environment: Vec::new(),
            input: None,
            directory: None,
            ignored: Vec::new(),
            blocked: Vec::new(),
        }
    }

    /// Adds `--url URL`, one for each that a space divides.
    pub(crate) fn url(self, url: &str) -> Tasklock {
        url.split(' ').fold(self, |it, url| it.args(["--url", url]))
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, word: impl Into<OsString>) -> Tasklock {
        self.words.push(word.into());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<W: Into<OsString>>(
        mut self,
        words: impl IntoIterator<Item = W>,
    ) -> Tasklock {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Adds `-- /bin/sh -c SCRIPT`.
    pub(crate) fn sh(self, script: &str) -> Tasklock {
        self.args(["--", "/bin/sh", "-c", script])
    }

    /// Sets a variable; `HOME` may be set as well.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Tasklock {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// What it reads from its standard input.
    pub(crate) fn input(mut self, text: &str) -> Tasklock {
        self.input = Some(text.to_owned());
        self
    }

    /// Where it starts.
    pub(crate) fn directory(mut self, directory: &Path) -> Tasklock {
        self.directory = Some(directory.into());
        self
    }

    /// Starts it with this signal ignored, as nohup does with SIGHUP.
    pub(crate) fn ignoring(mut self, signal: Signal) -> Tasklock {
        self.ignored.push(signal);
        self
    }

    /// Starts it with this signal blocked.
    pub(crate) fn blocking(mut self, signal: Signal) -> Tasklock {
        self.blocked.push(signal);
        self
    }

    /// Starts it through another program: `.under(process::pid_one())`, `.under(["nice", "-n", "5"])`.
    pub(crate) fn under<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Tasklock {
        self.under = words.into_iter().map(Into::into).collect();
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Finished {
        self.start().wait()
    }

    /// Starts it and returns when it executes.
    #[track_caller]
    pub(crate) fn start(self) -> Running {
        let home = Home(Scratch::new());
        let input = match &self.input {
            Some(text) => File::open(home.0.write("input", text)).unwrap().into(),
            None => Stdio::null(),
        };
        let mut command = self.session(home.0.path());
        command.stdin(input);
        command.stdout(append(&home.0.file("stdout")));
        command.stderr(append(&home.0.file("stderr")));
        let started = Instant::now();
        let child = command.spawn().unwrap_or_else(|e| panic!("{self:?}: {e}"));
        Running {
            child: Guard(child),
            home,
            started,
        }
    }

    /// Starts it with a `HOME` that others may have, too, and only its standard error kept, in
    /// `said`. Whoever asks for so little looks after its end.
    #[track_caller]
    pub(crate) fn start_bare(self, home: &Path, said: File) -> Child {
        let mut command = self.session(home);
        command.stdin(Stdio::null());
        command.stdout(Stdio::null());
        command.stderr(said);
        command.spawn().unwrap_or_else(|e| panic!("{self:?}: {e}"))
    }

    /// The command in a session of its own, with all but its standard streams.
    fn session(&self, home: &Path) -> Command {
        let mut command = self.command(home);
        let before_exec = || Ok(setsid().map(drop)?);
        // SAFETY: setsid is async-signal-safe, and nothing else happens between fork and exec.
        #[allow(unsafe_code, reason = "the only way to start a session")]
        unsafe {
            command.pre_exec(before_exec);
        }
        command
    }

    /// Starts it on a terminal of its own, as the leader of the terminal's session.
    #[track_caller]
    pub(crate) fn on_terminal(self) -> Terminal {
        let home = Home(Scratch::new());
        let command = self.command(home.0.path());
        Terminal::start(command, home)
    }

    /// The command with all but its standard streams and its session.
    pub(super) fn command(&self, home: &Path) -> Command {
        let under = self.under.iter().map(OsString::from);
        let mut words = under.chain(self.words.iter().cloned());
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env_clear().env("HOME", home);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.environment.iter().cloned());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        // Whoever runs the tests may ignore signals: nohup, or a shell that runs them in the background.
        let fresh = || {
            let resettable = |it: &Signal| !matches!(it, Signal::SIGKILL | Signal::SIGSTOP);
            for it in Signal::iterator().filter(resettable) {
                // SAFETY: sigaction is async-signal-safe, and no handler is installed.
                #[allow(unsafe_code, reason = "the only way to start it so")]
                unsafe {
                    signal(it, SigHandler::SigDfl)?;
                }
            }
            Ok(SigSet::empty().thread_set_mask()?)
        };
        // SAFETY: as above; nothing is allocated.
        #[allow(unsafe_code, reason = "the only way to start it so")]
        unsafe {
            command.pre_exec(fresh);
        }
        for &ignored in &self.ignored {
            // SAFETY: sigaction is async-signal-safe, and no handler is installed.
            #[allow(unsafe_code, reason = "the only way to start it so")]
            unsafe {
                command.pre_exec(move || Ok(signal(ignored, SigHandler::SigIgn).map(drop)?));
            }
        }
        let blocked: SigSet = self.blocked.iter().copied().collect();
        // SAFETY: pthread_sigmask is async-signal-safe.
        #[allow(unsafe_code, reason = "the only way to start it so")]
        unsafe {
            command.pre_exec(move || Ok(blocked.thread_block()?));
        }
        command
    }
}

fn append(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).unwrap()
}
