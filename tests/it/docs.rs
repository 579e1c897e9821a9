//! The man page, the completions and the README say what the program does: no less, no more.
//!
//! The definition of the command line is what they are held to, in both directions. What the
//! completions do is looked at in the shells themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tasklock::cli;
use tasklock::exit::Code;

use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

mod completions;

/// Options of other programs that the README shows.
const FOREIGN: [&str; 10] = [
    "--example",
    "--path",
    "--release",
    "--test",
    "--it",
    "--config-file",
    "--fg",
    "--id",
    "--install",
    "--quick",
];

type Words = BTreeSet<String>;

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What a program answers to `input`, and what it complains of.
///
/// # Panics
/// If it is not there: a document that was not checked is not right.
fn output_of(words: &[&str], input: &str) -> (String, String) {
    let program = words[0];
    let mut command = Command::new(program);
    command.args(&words[1..]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // The shells must not see the settings of whoever runs the tests.
    command
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent");
    let mut child = command.spawn().unwrap_or_else(|e| {
        panic!("cannot run {program}: {e}; run tests/run, or: apt-get install {program}")
    });
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that reads nothing closes the pipe, which is no concern of ours.
    let writer =
        std::thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The same, of a program that must not complain.
#[track_caller]
fn quiet_output_of(words: &[&str], input: &str) -> String {
    let (out, err) = output_of(words, input);
    assert_eq!(err, "", "{words:?} complains");
    out
}

/// A run (`""`) or a subcommand, with all that clap adds.
fn definition(subcommand: &str) -> clap::Command {
    let mut whole = cli::command();
    whole.build();
    match subcommand {
        "" => whole,
        name => whole.find_subcommand(name).unwrap().clone(),
    }
}

fn subcommands() -> Vec<String> {
    let named = definition("");
    let names = named.get_subcommands().map(|s| s.get_name().to_owned());
    std::iter::once(String::new()).chain(names).collect()
}

/// `--long` and `-s` of all options that are shown.
fn flags(subcommand: &str) -> Words {
    let definition = definition(subcommand);
    let shown = definition.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .flat_map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            long.into_iter().chain(short)
        })
        .collect()
}

/// The variables that options are read from.
fn variables() -> Words {
    let all: Vec<_> = subcommands().iter().map(|name| definition(name)).collect();
    all.iter()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|arg| Some(arg.get_env()?.to_str().unwrap().to_owned()))
        .collect()
}

/// What a command finds in its environment.
fn variables_of_the_command() -> Words {
    let run = Tasklock::named("docs", "local:").args(["--slots", "1", "--", "env"]);
    let run = run.run();
    run.expect_code(0);
    let names = run.stdout.lines().filter_map(|line| line.split('=').next());
    names
        // What it was told of the store has a place of its own.
        .filter(|name| *name != "TASKLOCK_URL")
        .filter(|name| name.starts_with("TASKLOCK_"))
        .map(str::to_owned)
        .collect()
}

/// The words in `text` that consist of `allowed` characters and begin with `start`.
fn words(text: &str, start: &str, allowed: impl Fn(char) -> bool) -> Words {
    text.split(|c: char| !allowed(c))
        .filter(|word| word.starts_with(start) && word.len() > start.len())
        .map(|word| word.trim_end_matches('-').to_owned())
        .collect()
}

fn long_options(text: &str) -> Words {
    words(text, "--", |c| c.is_ascii_lowercase() || c == '-')
        .into_iter()
        .filter(|word| word.as_bytes().get(2).is_some_and(u8::is_ascii_lowercase))
        .collect()
}

fn variables_in(text: &str) -> Words {
    words(text, "TASKLOCK_", |c| c.is_ascii_uppercase() || c == '_')
}

/// Both have the same members; if not, names those that one of them lacks.
#[track_caller]
fn agree(what: &str, document: &Words, program: &Words) {
    let only_document: Vec<_> = document.difference(program).collect();
    let only_program: Vec<_> = program.difference(document).collect();
    assert!(
        only_document.is_empty() && only_program.is_empty(),
        "{what}: only in the document: {only_document:?}; only in the program: {only_program:?}"
    );
}

/// A section of the man page as it is shown, each paragraph in one long line.
fn man_section(name: &str) -> String {
    man_section_of("man/tasklock.1", name)
}

/// The same of another page.
fn man_section_of(page: &str, name: &str) -> String {
    let groff = [
        "groff",
        "-man",
        "-Tascii",
        "-P-cbou",
        "-rLL=3000n",
        "-rHY=0",
    ];
    let shown = output_of(&groff, &text(page)).0;
    let from = shown
        .find(&format!("\n{name}\n"))
        .unwrap_or_else(|| panic!("{page}(1) has no section {name}; groff shows:\n{shown}"));
    let section = &shown[from + name.len() + 2..];
    let end = section
        .match_indices('\n')
        .find(|(at, _)| section[at + 1..].starts_with(|c: char| c.is_ascii_uppercase()))
        .map_or(section.len(), |(at, _)| at);
    section[..end].to_owned()
}

/// The options of the man page: the line that names one, and the text below it.
fn man_options() -> Vec<(String, String)> {
    let mut options: Vec<(String, String)> = Vec::new();
    for line in man_section("OPTIONS").lines() {
        let indent = line.len() - line.trim_start().len();
        match options.last_mut() {
            _ if indent == 7 && line.trim().starts_with('-') => {
                options.push((line.trim().to_owned(), String::new()));
            }
            Some((_, text)) => text.push_str(&format!("{} ", line.trim())),
            None => {}
        }
    }
    options
}

/// A section of the README, without its heading.
pub(crate) fn readme_section(heading: &str) -> String {
    let readme = text("README.md");
    let from = readme
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("README.md has no {heading:?}"));
    let section = &readme[from + heading.len() + 2..];
    section.split("\n## ").next().unwrap().to_owned()
}

/// The words that an option takes, as the program lists them when it gets another one.
fn values_of(option: &str) -> Words {
    let run = Tasklock::named("docs", "local:").args([option, "no-such-value", "true"]);
    choices_told_by(run)
}

/// The same of `--format` of a subcommand.
fn formats_of(subcommand: &str) -> Words {
    let mut run = Tasklock::new().args([subcommand, "--name", "docs", "--url", "local:"]);
    if subcommand == "acquire" {
        run = run.args(["--ttl", "60s"]);
    }
    choices_told_by(run.args(["--format", "no-such-value"]))
}

fn choices_told_by(run: Tasklock) -> Words {
    let run = run.run();
    run.expect_code(64);
    let (_, list) = run.stderr.split_once("is not one of ").unwrap();
    list.trim().split(", ").map(str::to_owned).collect()
}

/// The options that take one of a few words.
const CHOICES: [&str; 3] = ["--on-lost", "--on-unavailable", "--log-format"];

#[test]
fn the_man_page_has_the_options_of_a_run_and_no_others() {
    let named: Words = man_options()
        .iter()
        .flat_map(|(tag, _)| tag.split([' ', ',']).map(str::to_owned))
        .filter(|word| word.starts_with('-'))
        .collect();
    agree("OPTIONS", &named, &flags(""));
}

/// The words of a section that are options.
fn options_in(section: &str) -> Words {
    section
        .split([' ', ',', '\n', '.', '[', '=', ';', ':'])
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_subcommand_has_a_man_page_with_its_options_and_no_others() {
    let commands = man_section("COMMANDS");
    for name in subcommands().iter().filter(|name| !name.is_empty()) {
        let page = format!("tasklock-{name}");
        assert!(commands.contains(&format!("{page}(1)")), "{page}");
        // What these share with a run stands in its page.
        if matches!(
            name.as_str(),
            "config" | "acquire" | "refresh" | "release" | "check"
        ) {
            continue;
        }
        let path = format!("man/{page}.1");
        let mut program = flags(name);
        // The pages spare the long form of what tasklock(1) has described.
        program.remove("--url");
        program.remove("--help");
        let named = options_in(&man_section_of(&path, "OPTIONS"));
        agree(&page, &named, &program);
        let unknown: Vec<_> = long_options(&man_section_of(&path, "EXAMPLES"))
            .into_iter()
            .filter(|word| !program.contains(word))
            .collect();
        assert!(unknown.is_empty(), "{page}: {unknown:?}");
    }
}

#[test]
fn the_man_pages_of_subcommands_give_the_defaults_that_help_gives() {
    for name in ["status", "list", "history", "unlock"] {
        let section = man_section_of(&format!("man/tasklock-{name}.1"), "OPTIONS");
        let told: Vec<_> = section
            .split("Default: ")
            .skip(1)
            .filter_map(|rest| rest.split('.').next())
            .collect();
        let whole = definition("");
        let own = definition(name);
        let of_a_run =
            |arg: &&clap::Arg| whole.get_arguments().any(|it| it.get_id() == arg.get_id());
        let helps: Vec<_> = own
            .get_arguments()
            .filter(|arg| !of_a_run(arg))
            .filter_map(|arg| Some(arg.get_help()?.to_string()))
            .collect();
        let defaults: Vec<_> = helps
            .iter()
            .filter_map(|help| help.split_once("[default: ")?.1.split(']').next())
            .collect();
        assert_eq!(told, defaults, "{name}");
    }
}

/// The subcommands for a lock that is held by its token.
const OF_TOKENS: [&str; 4] = ["acquire", "refresh", "release", "check"];

#[test]
fn the_pages_of_holding_across_steps_have_their_options_and_no_others() {
    // Where the lock lives, which all subcommands have to know, is described in one place.
    let all = subcommands().into_iter().map(|name| flags(&name));
    let mut store = all.reduce(|shared, flags| &shared & &flags).unwrap();
    for own in ["--name", "--help", "-h"] {
        store.remove(own);
    }
    for name in OF_TOKENS {
        let section = man_section_of(&format!("man/tasklock-{name}.1"), "OPTIONS");
        let tags = section.lines().filter(|line| line.starts_with("       -"));
        let words = tags.flat_map(|line| line.split([' ', ',']).map(str::to_owned));
        let named: Words = words.filter(|word| word.starts_with('-')).collect();
        let own: Words = flags(name).difference(&store).cloned().collect();
        agree(name, &named, &own);
    }
}

#[test]
fn the_page_of_config_has_the_options_that_it_adds_to_those_of_a_run() {
    let section = man_section_of("man/tasklock-config.1", "OPTIONS");
    let tags = section.lines().map(str::trim);
    let tags: Words = tags
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
        .collect();
    let added: Words = flags("config").difference(&flags("")).cloned().collect();
    agree("OPTIONS", &tags, &added);
    let of_a_run: Words = flags("").difference(&flags("config")).cloned().collect();
    assert_eq!(of_a_run, ["--version", "-V"].map(str::to_owned).into());
}

#[test]
fn the_page_of_the_configuration_file_has_every_key_and_no_others() {
    let section = man_section_of("man/tasklock.toml.5", "KEYS");
    let tags = section.lines().filter(|line| {
        let indent = line.len() - line.trim_start().len();
        indent == 7 && line.trim().starts_with(|c: char| c.is_ascii_lowercase())
    });
    let keys: Words = tags.flat_map(names).collect();
    let mut program: Words = flags("")
        .iter()
        .filter_map(|flag| flag.strip_prefix("--"))
        .filter(|name| !matches!(*name, "name" | "config" | "nonblock" | "verbose"))
        .filter(|name| !matches!(*name, "help" | "version"))
        .map(str::to_owned)
        .collect();
    program.insert("allow-readable-secrets".to_owned());
    agree("KEYS", &keys, &program);
}

#[test]
fn the_man_page_gives_the_defaults_that_help_gives() {
    let options = man_options();
    for arg in definition("").get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let default = |text: &str, mark: &str, end: &str| {
            let from = text.find(mark)? + mark.len();
            Some(text[from..].split(end).next()?.trim().to_owned())
        };
        let flag = format!("--{long}");
        let (_, text) = options
            .iter()
            .find(|(tag, _)| tag.split([' ', ',']).any(|word| word == flag))
            .unwrap_or_else(|| panic!("{flag} is not in the man page"));
        assert_eq!(
            default(text, "Default: ", ". "),
            default(&help, "[default: ", "]"),
            "{flag}"
        );
    }
}

#[test]
fn the_man_page_gives_the_values_that_the_program_takes() {
    for option in CHOICES {
        let options = man_options();
        let (_, text) = options
            .iter()
            .find(|(tag, _)| tag.starts_with(option))
            .unwrap();
        let text: Words = text.split([' ', ',', '.']).map(str::to_owned).collect();
        let missing: Vec<_> = values_of(option).difference(&text).cloned().collect();
        assert!(missing.is_empty(), "{option}: {missing:?}");
    }
}

#[test]
fn the_man_page_has_every_variable_and_no_others() {
    let mut program = variables();
    program.extend(variables_of_the_command());
    program.extend(variables_in("TASKLOCK_DEADLINE")); // of acquire --format env
    agree(
        "ENVIRONMENT",
        &variables_in(&man_section("ENVIRONMENT")),
        &program,
    );
    let mentioned = variables_in(&text("README.md"));
    let unknown: Vec<_> = mentioned.difference(&program).collect();
    assert!(unknown.is_empty(), "only in the README: {unknown:?}");
}

#[test]
fn the_readme_has_the_variables_of_the_command_and_no_others() {
    let section = readme_section("## The command's environment");
    let rows: String = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    agree("README", &variables_in(&rows), &variables_of_the_command());
}

#[test]
fn the_exit_codes_of_man_page_and_readme_are_those_of_the_program() {
    let program: Words = Code::ALL.map(|code| (code as u8).to_string()).into();
    let number = |word: &str| word.parse::<u8>().is_ok().then(|| word.to_owned());
    let section = man_section("EXIT STATUS");
    let tags = section.lines().filter_map(|line| {
        let (indent, rest) = line.split_at_checked(7)?;
        indent
            .trim()
            .is_empty()
            .then(|| number(rest.split(' ').next()?))?
    });
    agree("EXIT STATUS", &tags.collect(), &program);
    let section = readme_section("## Exit codes");
    let rows = section
        .lines()
        .filter_map(|line| number(line.strip_prefix("| ")?.split(' ').next()?));
    agree("README", &rows.collect(), &program);
    let help = definition("").get_after_help().unwrap().to_string();
    let told = words(&help, "", |c| c.is_ascii_digit());
    let unknown: Vec<_> = told
        .iter()
        .filter(|code| code.len() > 1 && !program.contains(*code))
        .collect();
    assert!(unknown.is_empty(), "--help: {unknown:?}");
}

#[test]
fn the_readme_and_the_man_page_mention_no_option_that_does_not_exist() {
    let known: Words = subcommands().iter().flat_map(|name| flags(name)).collect();
    let man: String = [
        "SYNOPSIS",
        "WAITING",
        "SLOTS",
        "SCHEDULES",
        "STORES",
        "SIGNALS",
        "EXAMPLES",
        "REPORT",
        "LOG",
    ]
    .map(man_section)
    .concat();
    for (what, text) in [("README.md", text("README.md")), ("man page", man)] {
        let unknown: Vec<_> = long_options(&text)
            .into_iter()
            .filter(|word| !known.contains(word) && !FOREIGN.contains(&word.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
}

/// `child_exit, child_signal  How it ended` names two fields.
fn names(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for word in line.split_whitespace() {
        names.push(word.trim_end_matches(',').to_owned());
        if !word.ends_with(',') {
            break;
        }
    }
    names
}

/// The words that a function of the JSON log can answer, by its source.
fn words_of(function: &str) -> Words {
    let source = text("src/message/json.rs");
    let (_, body) = source.split_once(&format!("fn {function}(")).unwrap();
    let body = body.split("fn ").next().unwrap();
    let arms = body.split("=> \"").skip(1);
    let words = arms.filter_map(|arm| arm.split('"').next());
    words.map(str::to_owned).collect()
}

#[test]
fn the_events_of_the_json_log_are_in_the_man_page_and_so_is_every_cause_of_a_skip() {
    let section = man_section("LOG");
    let tags = section
        .lines()
        .filter_map(|line| line.strip_prefix("       "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_whitespace().next());
    let events = words_of("event");
    agree("LOG", &tags.map(str::to_owned).collect(), &events);
    let (_, skipped) = section.split_once("cause is one of ").unwrap();
    let skipped = skipped.split(". ").next().unwrap().lines().next().unwrap();
    let told = words(skipped, "", |c| c.is_ascii_lowercase() || c == '_');
    let causes = words_of("skip_word");
    let missing: Vec<_> = causes.difference(&told).collect();
    assert!(causes.len() > 5 && missing.is_empty(), "{missing:?}");
}

#[test]
fn a_user_with_the_rights_of_the_man_page_holds_and_waits() {
    let section = man_section("STORES");
    let rule = section
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER "));
    let rule = rule.unwrap().replace("PASSWORD", "secret");
    let server = Server::with().user(&rule).start();
    let url = server.url().replace("//", "//job:secret@");
    let scratch = Scratch::new();
    let mut gate = scratch.gate("gate");
    let script = format!("echo up; read _ <{}", gate.path().display());
    let holder = Tasklock::named("docs", &url).sh(&script).start();
    wait_until(|| holder.stdout() == "up\n");
    let waiter = Tasklock::named("docs", &url).args(["-w", "forever", "echo", "mine"]);
    let mut waiter = waiter.start();
    waiter.wait_for_stderr("waiting for \"docs\": next in line");
    gate.open();
    holder.wait().expect_code(0).expect_silent();
    waiter.wait().expect_code(0).expect_stdout("mine\n");
}

#[test]
fn the_fields_of_a_report_are_in_the_man_page() {
    let scratch = Scratch::new();
    let report = scratch.file("report");
    let run = Tasklock::named("docs", "local:")
        .arg("--report")
        .arg(&report);
    run.args(["--", "true"]).run().expect_code(0);
    let written: serde_json::Value = serde_json::from_str(&scratch.read("report")).unwrap();
    let fields: Words = written.as_object().unwrap().keys().cloned().collect();
    let tags = man_section("REPORT");
    let tags: Words = tags
        .lines()
        .filter(|line| line.starts_with("       ") && !line.starts_with("        "))
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(names)
        .collect();
    agree("REPORT", &tags, &fields);
}

#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    for page in pages() {
        let man = text(&page);
        let title = man.lines().find(|line| line.starts_with(".TH")).unwrap();
        assert!(
            title.contains(&format!("\"tasklock {version}\"")),
            "{page}: {title}"
        );
    }
    assert!(text("CHANGELOG.md").contains(&format!("\n## [{version}]")));
}

/// `man/tasklock.1`, and one for each subcommand.
fn pages() -> Vec<String> {
    let page = |name: &String| match name.as_str() {
        "" => "man/tasklock.1".to_owned(),
        name => format!("man/tasklock-{name}.1"),
    };
    subcommands().iter().map(page).collect()
}

#[test]
fn the_man_pages_are_clean() {
    let file = "man/tasklock.toml.5".to_owned();
    for page in pages().into_iter().chain([file]) {
        quiet_output_of(&["groff", "-man", "-ww", "-z", "-Tascii"], &text(&page));
    }
}

#[test]
fn every_subcommand_is_in_the_readme() {
    let readme = text("README.md");
    for name in subcommands().iter().filter(|name| !name.is_empty()) {
        assert!(readme.contains(&format!("tasklock {name} ")), "{name}");
    }
}
