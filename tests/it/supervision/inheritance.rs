//! What the command inherits: what the caller gave us, and nothing of ours.

use nix::sys::signal::Signal;

use super::{Bench, mask, mask_in, set_of};
use crate::support::process::send;
use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// The run of a command that shows its own signal masks.
fn shows_masks(bench: &Bench) -> Tasklock {
    bench.tasklock().args(["--", "cat", "/proc/self/status"])
}

/// The signals that are ignored, but for what every program is started with here.
fn ignored(shown: &Finished) -> u64 {
    shown.expect_code(0);
    let direct = Tasklock::instead("cat").arg("/proc/self/status").run();
    mask_in(&shown.stdout, "SigIgn") & !mask_in(&direct.stdout, "SigIgn")
}

/// A shell's words to start what follows.
fn through(script: &str) -> [String; 4] {
    ["sh", "-c", script, "sh"].map(str::to_owned)
}

#[test]
fn a_command_starts_with_default_dispositions_and_nothing_blocked() {
    let bench = Bench::new();
    let run = shows_masks(&bench).run();
    assert_eq!(ignored(&run), 0, "{run}");
    for which in ["SigBlk", "SigCgt"] {
        assert_eq!(mask_in(&run.stdout, which), 0, "{which}: {run}");
    }
}

#[test]
fn what_the_caller_ignores_stays_ignored() {
    for signals in [
        vec![Signal::SIGHUP],
        vec![Signal::SIGINT, Signal::SIGQUIT],
        vec![Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGTSTP],
    ] {
        let bench = Bench::new();
        let start = |run: Tasklock, &signal| run.ignoring(signal);
        let run = signals.iter().fold(shows_masks(&bench), start).run();
        assert_eq!(ignored(&run), set_of(&signals), "{run}");
    }
}

#[test]
fn what_the_caller_ignores_ends_neither_the_run_nor_its_command() {
    let mut bench = Bench::new();
    let run = bench.tasklock().sh("echo $$ > pid; read _ < gate; exit 6");
    let run = run.ignoring(Signal::SIGHUP).start();
    bench.child();
    run.signal(Signal::SIGHUP);
    run.signal_group(Signal::SIGHUP);
    bench.gate.open();
    run.wait().expect_code(6);
}

#[test]
fn nohup_and_the_background_of_a_shell_work_as_without_us() {
    let bench = Bench::new();
    let nohup = shows_masks(&bench).under(["nohup"]).run();
    let hup = set_of(&[Signal::SIGHUP]);
    assert_eq!(ignored(&nohup), hup, "{nohup}");
    let background = shows_masks(&bench).under(through("\"$@\" & wait")).run();
    let both = set_of(&[Signal::SIGINT, Signal::SIGQUIT]);
    assert_eq!(ignored(&background), both, "{background}");
}

#[test]
fn what_the_caller_blocks_is_blocked_in_the_command_but_not_in_us() {
    let blocked = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGUSR2,
        Signal::SIGCHLD,
        Signal::SIGWINCH,
    ];
    let bench = Bench::new();
    let run = blocked
        .iter()
        .fold(shows_masks(&bench), |run, &signal| run.blocking(signal));
    let run = run.run();
    assert_eq!(mask_in(&run.stdout, "SigBlk"), set_of(&blocked), "{run}");

    // TERM is blocked in the shell as well, so that it has to be ended by KILL.
    let run = bench
        .tasklock()
        .args(["--max-runtime", "50ms", "-k", "50ms"]);
    let run = run
        .sh("while :; do read _ < gate; done")
        .blocking(Signal::SIGTERM);
    run.run().expect_code(124);

    let bench = Bench::new();
    let run = bench.tasklock().sh("echo $$ > pid; exec sleep 1000");
    let run = run.blocking(Signal::SIGCHLD).blocking(Signal::SIGTERM);
    let run = run.start();
    let child = bench.child();
    run.signal(Signal::SIGTERM);
    wait_until(|| mask(child, "ShdPnd") == set_of(&[Signal::SIGTERM]));
    send(child, Signal::SIGKILL);
    run.wait().expect_signal(Signal::SIGKILL);
}

#[test]
fn a_caller_that_ignores_the_death_of_its_children_does_not_cost_us_the_status() {
    let bench = Bench::new();
    let run = bench.tasklock().sh("exit 3").ignoring(Signal::SIGCHLD);
    run.run().expect_code(3);
    let masks = shows_masks(&bench).ignoring(Signal::SIGCHLD).run();
    assert_eq!(ignored(&masks), 0, "{masks}");
}

#[test]
fn no_descriptor_of_ours_reaches_the_command_and_those_of_the_caller_do() {
    let server = Server::start();
    for bench in [Bench::new(), Bench::on(server.url())] {
        let list = ["ls", "/proc/self/fd"];
        for script in ["exec \"$@\"", "exec 7< /dev/null 9> /dev/null; exec \"$@\""] {
            let direct = Tasklock::instead(list[0]).arg(list[1]);
            let direct = direct.under(through(script)).run();
            let run = bench.tasklock().arg("--").args(list);
            let report = bench.scratch.file("report");
            let run = run.under(through(script)).run();
            run.expect_code(0).expect_stdout(&direct.stdout);
            let run = bench.tasklock().arg("--report").arg(report).args(list);
            let run = run.under(through(script)).run();
            run.expect_code(0).expect_stdout(&direct.stdout);
        }
    }
}

#[test]
fn limits_directory_and_umask_are_the_caller_s() {
    let bench = Bench::new();
    let script = "cd /; umask 027; ulimit -n 99; exec \"$@\"";
    let run = bench.tasklock().sh("pwd; umask; ulimit -n");
    let run = run.under(through(script)).run();
    run.expect_code(0).expect_stdout("/\n0027\n99\n");
}
