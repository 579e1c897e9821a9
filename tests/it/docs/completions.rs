//! The completions offer what the command line takes, and complete the command after it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{
    CHOICES, Words, agree, file, flags, formats_of, output_of, quiet_output_of, subcommands, text,
    values_of,
};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;
use crate::support::{PATIENCE, some_within};

/// A completion function, and what it answers for one command line at a time.
type Ask = fn(&str) -> Words;

fn path(name: &str) -> String {
    let file = file("completions").join(name);
    file.to_str().unwrap().to_owned()
}

fn lines(text: &str) -> Words {
    let first = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    text.lines().map(first).collect()
}

/// What bash offers, without bash-completion.
fn bash(line: &str) -> Words {
    bash_under(&[], line)
}

/// The same, through another program.
fn bash_under(under: &[&str], line: &str) -> Words {
    let words: Vec<&str> = line.split(' ').collect();
    let script = format!(
        ". {}; COMP_LINE='{line}' COMP_WORDS=({}) COMP_CWORD={} COMP_POINT={}; _tasklock; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        path("tasklock.bash"),
        words
            .iter()
            .map(|word| format!("'{word}' "))
            .collect::<String>(),
        words.len() - 1,
        line.len()
    );
    let words = [under, &["bash", "-c", &script]].concat();
    lines(&quiet_output_of(&words, ""))
}

/// What fish offers.
fn fish(line: &str) -> Words {
    fish_under(&[], line)
}

/// The same, through another program.
fn fish_under(under: &[&str], line: &str) -> Words {
    let script = format!("source {}; complete -C '{line}'", path("tasklock.fish"));
    let words = [under, &["fish", "-c", &script]].concat();
    lines(&quiet_output_of(&words, ""))
}

/// The specifications that zsh's `_arguments` is given: `--on-lost=[…]:what:(stop continue)`.
fn zsh_specifications(line: &str) -> Words {
    let words: Vec<&str> = line.split(' ').collect();
    let script = format!(
        "_arguments() {{ print -rl -- \"$@\"; }}; words=({}); CURRENT=$#words; \
         complete() {{ . {}; }}; complete",
        words
            .iter()
            .map(|word| format!("'{word}' "))
            .collect::<String>(),
        path("_tasklock"),
    );
    let specifications = lines(&quiet_output_of(&["zsh", "-f", "-c", &script], ""));
    specifications
        .into_iter()
        // `(-q --quiet)--quiet[…]` excludes the ones in parentheses.
        .map(|spec| match spec.split_once(')') {
            Some((others, spec)) if others.starts_with('(') => spec.to_owned(),
            _ => spec,
        })
        .collect()
}

/// What zsh offers.
fn zsh(line: &str) -> Words {
    let typed = line.rsplit(' ').next().unwrap();
    let before = line.trim_end_matches(typed).trim_end();
    let specifications = zsh_specifications(line);
    if let Some((_, option)) = before
        .rsplit_once(' ')
        .filter(|(_, word)| word.starts_with("--"))
    {
        let of_option = specifications
            .iter()
            .find(|spec| spec.starts_with(&format!("{option}=")));
        let (_, values) = of_option.unwrap().rsplit_once('(').unwrap();
        return values
            .trim_end_matches(')')
            .split(' ')
            .map(str::to_owned)
            .collect();
    }
    specifications
        .iter()
        .filter_map(|spec| {
            Some(
                spec.split_once('[')?
                    .0
                    .trim_start_matches('*')
                    .trim_end_matches("=-")
                    .trim_end_matches(['=', '+'])
                    .to_owned(),
            )
        })
        .filter(|name| name.starts_with('-'))
        .collect()
}

const SHELLS: [(&str, Ask); 3] = [("bash", bash), ("zsh", zsh), ("fish", fish)];

#[test]
fn each_shell_offers_the_options_that_there_are_and_no_others() {
    for (shell, ask) in SHELLS {
        for subcommand in subcommands() {
            let line = format!("tasklock {subcommand} -").replace("  ", " ");
            let offered: Words = ask(&line)
                .into_iter()
                // fish offers the letters that may follow an option of one letter, too.
                .filter(|word| word.starts_with("--") || word.len() == 2)
                .collect();
            agree(&format!("{shell}, {line}"), &offered, &flags(&subcommand));
        }
    }
}

#[test]
fn each_shell_offers_the_values_that_there_are_and_no_others() {
    for (shell, ask) in SHELLS {
        for option in CHOICES {
            let offered = ask(&format!("tasklock {option} "));
            agree(&format!("{shell}, {option}"), &offered, &values_of(option));
        }
        for subcommand in ["list", "acquire", "refresh"] {
            let line = format!("tasklock {subcommand} --format ");
            let offered = ask(&line);
            agree(
                &format!("{shell}, {line}"),
                &offered,
                &formats_of(subcommand),
            );
        }
    }
}

#[test]
fn each_shell_parses_its_file() {
    quiet_output_of(&["bash", "-n", &path("tasklock.bash")], "");
    quiet_output_of(&["zsh", "-f", "-n", &path("_tasklock")], "");
    quiet_output_of(&["fish", "-n", &path("tasklock.fish")], "");
}

#[test]
fn the_files_run_tasklock_only_for_the_names_of_the_locks() {
    // Without any PATH a shell that looks for tasklock would say that it is not found.
    for (shell, file) in [
        ("bash", "tasklock.bash"),
        ("zsh", "_tasklock"),
        ("fish", "tasklock.fish"),
    ] {
        let text = text(&format!("completions/{file}"));
        let names = "command tasklock config --names 2>/dev/null";
        let rest = text.replacen(names, "", 1);
        assert_ne!(text, rest, "{shell}");
        for run in ["$(tasklock", "(tasklock ", "command tasklock", "`tasklock"] {
            assert!(!rest.contains(run), "{shell} {run}");
        }
    }
    let script = format!(
        "PATH=/nonexistent; . {}; type -t _tasklock",
        path("tasklock.bash")
    );
    assert_eq!(quiet_output_of(&["bash", "-c", &script], ""), "function\n");
}

/// Lines that are typed, and what they have become after a TAB. `fruit` completes to its own words.
const TYPED: [(&str, &str); 11] = [
    ("tasklock --on-lost c", "tasklock --on-lost continue "),
    ("tasklock --on-lost=c", "tasklock --on-lost=continue "),
    ("tasklock statu", "tasklock status "),
    ("tasklock unlock --fo", "tasklock unlock --force "),
    (
        "tasklock list --format p",
        "tasklock list --format prometheus ",
    ),
    (
        "tasklock --name x -- fruit che",
        "tasklock --name x -- fruit cherry ",
    ),
    (
        "tasklock --name x fruit che",
        "tasklock --name x fruit cherry ",
    ),
    (
        "tasklock -vE 3 --name=a:b -- fruit --app",
        "tasklock -vE 3 --name=a:b -- fruit --apple ",
    ),
    (
        "tasklock -nw 5m --once-key v1 --name x -- fruit che",
        "tasklock -nw 5m --once-key v1 --name x -- fruit cherry ",
    ),
    (
        "tasklock -u redis://h:1/2 --name x fruit -u che",
        "tasklock -u redis://h:1/2 --name x fruit -u cherry ",
    ),
    (
        "tasklock --name x -- zz-fru",
        "tasklock --name x -- zz-fruit-stand ",
    ),
];

#[test]
fn each_shell_offers_the_locks_that_have_a_section() {
    let scratch = Scratch::new();
    let program = scratch.file("tasklock");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tasklock"), program).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("PATH={}:{path}", scratch.path().display());
    let sections = "[lock.backup]\n[lock.\"import:eu\"]\n[lock.\"two words\"]\n";
    let good = scratch.write("good", sections);
    let bad = scratch.write("bad", "[lock.backup\n");
    let lines = subcommands()
        .into_iter()
        .flat_map(|name| match name.as_str() {
            "" => vec!["tasklock --name ".to_owned()],
            "status" => vec!["tasklock status other ".to_owned()],
            name => vec![
                format!("tasklock {name} "),
                format!("tasklock {name} --name "),
            ],
        });
    for line in lines {
        for (file, names) in [
            (&good, &["backup", "import:eu", "two words"][..]),
            (&bad, &[]),
        ] {
            let file = format!("TASKLOCK_CONFIG={}", file.display());
            let under = ["env", &path, &file];
            let expected: Words = names.iter().map(|name| (*name).to_owned()).collect();
            let offered = bash_under(&under, &line);
            let offered = offered.iter().map(|name| name.replace('\\', ""));
            let offered = offered.filter(|name| !name.is_empty()).collect();
            agree(&format!("bash, {line}"), &offered, &expected);
            let offered = fish_under(&under, &line);
            let offered = offered.into_iter().filter(|word| !word.starts_with('-'));
            agree(&format!("fish, {line}"), &offered.collect(), &expected);
            agree(&format!("zsh, {line}"), &zsh_names(&under), &expected);
        }
        let specifications = zsh_specifications(&line);
        let mut asks = specifications.iter();
        let option = line.contains("--name");
        let own = |spec: &&String| spec.contains("--name=") == option;
        assert!(
            asks.any(|spec| own(&spec) && spec.ends_with(":_tasklock_names")),
            "{line}: {specifications:?}"
        );
    }
}

#[test]
fn each_shell_offers_no_second_lock_where_one_is_taken() {
    let scratch = Scratch::new();
    let program = scratch.file("tasklock");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tasklock"), program).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("PATH={}:{path}", scratch.path().display());
    let file = scratch.write("file", "[lock.backup]\n");
    let file = format!("TASKLOCK_CONFIG={}", file.display());
    let under = ["env", &path, &file];
    for (line, more) in [
        ("status a ", true),
        ("unlock --force ", true),
        ("unlock a ", false),
        ("history --json --name a ", false),
        ("check --name=a ", false),
    ] {
        let line = format!("tasklock {line}");
        for offered in [bash_under(&under, &line), fish_under(&under, &line)] {
            assert_eq!(offered.contains("backup"), more, "{line}: {offered:?}");
        }
    }
}

/// What zsh offers as the names of locks.
fn zsh_names(under: &[&str]) -> Words {
    let script = format!(
        "_arguments() {{ :; }}; words=(tasklock status ''); CURRENT=3; \
         complete() {{ . {}; }}; complete; \
         compadd() {{ print -rl -- $names; }}; _tasklock_names",
        path("_tasklock"),
    );
    let words = [under, &["zsh", "-f", "-c", &script]].concat();
    let names = lines(&quiet_output_of(&words, ""));
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

fn executable(path: &Path) {
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Types each of the lines into `shell` on a terminal, presses TAB, and has the shell write down
/// the line as it then is (with ^X^P, which `setup` binds to `show`).
fn type_and_complete(shell: &[&str], setup: &str, typed: &[(&str, &str)]) {
    let scratch = Scratch::new();
    let bin = scratch.file("bin");
    fs::create_dir(&bin).unwrap();
    executable(&bin.join("zz-fruit-stand"));
    let line_file = scratch.file("line");
    let setup = setup
        .replace("@COMPLETIONS@", file("completions").to_str().unwrap())
        .replace("@BIN@", bin.to_str().unwrap())
        .replace("@LINE@", line_file.to_str().unwrap());
    let setup = scratch.write("setup", setup);
    let mut terminal = Tasklock::instead(shell[0])
        .args(shell[1..].iter().copied())
        .env("TERM", "dumb")
        .on_terminal();
    terminal.type_line(&format!(". {} && echo re''ady", setup.display()));
    terminal.wait_for("ready");
    for (line, expected) in typed {
        // ^U first: what the last line left. The shell reads all of it in order.
        terminal.type_keys(&format!("\x15{line}\t\x18\x10"));
        let shown = some_within(PATIENCE, || {
            Some(scratch.read("line")).filter(|text| text.ends_with("]\n"))
        });
        let shown = shown.unwrap_or_else(|| panic!("{shell:?} {line:?}:\n{}", terminal.screen()));
        assert_eq!(shown, format!("[{expected}]\n"), "{shell:?}");
        fs::remove_file(&line_file).unwrap();
    }
}

const BASH: [&str; 4] = ["bash", "--norc", "--noprofile", "-i"];

const BASH_SETUP: &str = "PATH=@BIN@:$PATH\n. @COMPLETIONS@/tasklock.bash\n\
    show() { printf '[%s]\\n' \"$READLINE_LINE\" >@LINE@; }\nbind -x '\"\\C-x\\C-p\": show'\n";

fn bash_completion() -> PathBuf {
    let places = ["/usr", "/usr/local", "/opt/homebrew"];
    let found = places
        .map(|place| PathBuf::from(place).join("share/bash-completion/bash_completion"))
        .into_iter()
        .find(|file| file.is_file());
    found.expect("no bash-completion found; run tests/run, or: apt-get install bash-completion")
}

#[test]
fn bash_completes_the_command_and_its_arguments() {
    let setup = format!(
        ". {}\n{BASH_SETUP}\
         fruit() {{ COMPREPLY=($(compgen -W '--apple banana cherry' -- \"${{COMP_WORDS[COMP_CWORD]}}\")); }}\n\
         complete -F fruit fruit\n",
        bash_completion().display()
    );
    type_and_complete(&BASH, &setup, &TYPED);
}

#[test]
fn bash_without_bash_completion_completes_options_commands_and_files() {
    let (options, rest) = TYPED.split_at(5);
    let command = &rest[5..];
    type_and_complete(&BASH, BASH_SETUP, options);
    type_and_complete(&BASH, BASH_SETUP, command);
    type_and_complete(
        &BASH,
        BASH_SETUP,
        &[(
            "tasklock --name x -- cat /etc/passw",
            "tasklock --name x -- cat /etc/passwd",
        )],
    );
}

#[test]
fn zsh_completes_the_command_and_its_arguments() {
    let setup = "PATH=@BIN@:$PATH\nfpath=(@COMPLETIONS@ $fpath)\nautoload -U compinit\ncompinit -u -D\n\
        fruit() { _arguments '--apple' '-u' '*:kind:(banana cherry)' }\ncompdef fruit fruit\n\
        show() { print -r -- \"[$BUFFER]\" >@LINE@ }\nzle -N show\n\
        bindkey -e\nbindkey '^X^P' show\nbindkey '^I' complete-word\n";
    type_and_complete(&["zsh", "-f", "-i"], setup, &TYPED);
}

#[test]
fn fish_completes_the_command_and_its_arguments() {
    let scratch = Scratch::new();
    for program in ["fruit", "zz-fruit-stand"] {
        executable(&scratch.file(program));
    }
    for (line, expected) in TYPED {
        let script = format!(
            "set PATH {} $PATH; source {}; complete -c fruit -f -a 'banana cherry'; complete -c fruit -l apple -s u; complete -C '{line}'",
            scratch.path().display(),
            path("tasklock.fish")
        );
        let (out, _) = output_of(&["fish", "-c", &script], "");
        let word = expected.trim_end().rsplit(' ').next().unwrap();
        assert!(lines(&out).contains(word), "{line:?}: {out}");
    }
}
