//! Messages in words: one line each, for whoever reads a cron mail at night.

use std::time::Duration;

use super::{LossCause, Message, Reaction, escape};
use crate::duration::show;
use crate::exit::{Skip, StartError};
use crate::store::{Done, Held, Holder, Queued};
use crate::wall::Wall;

impl Message {
    /// The line for people, without the `tasklock: ` before it.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let name = escape(name);
        match self {
            Message::LocalOnly => "no store is configured: the lock holds on this host and for \
                 this user only (set TASKLOCK_URL=redis://HOST for all hosts, or \
                 TASKLOCK_URL=local: to say that this is meant)"
                .to_owned(),
            Message::Waiting {
                queued,
                left,
                places,
            } => {
                let limit =
                    left.map_or_else(String::new, |left| format!(" for at most {}", show(left)));
                let queued = queued_text(queued, *places);
                format!("waiting for \"{name}\"{limit}: {queued}")
            }
            Message::WaitsForStore { error, left } => {
                let limit =
                    left.map_or_else(String::new, |left| format!(" for at most {}", show(left)));
                format!("waiting for \"{name}\"{limit}: {error}; trying again")
            }
            Message::Acquired { fence, waited } => {
                format!("acquired \"{name}\" in {}, fence {fence}", show(*waited))
            }
            Message::Refreshed => format!("refreshed \"{name}\""),
            Message::RefreshedAgain { .. } => {
                format!("refreshed \"{name}\" again, the trouble is over")
            }
            Message::Retaken => format!(
                "the key of \"{name}\" had vanished from the store (evicted, deleted or lost in \
                 a restart); no other tasklock was granted the lock, and it was taken again"
            ),
            Message::RefreshFailed { error, left, .. } => {
                let stop = left.map_or_else(String::new, |left| {
                    format!(", the command is stopped in {}", show(left))
                });
                format!("cannot refresh \"{name}\": {error}; trying again{stop}")
            }
            Message::Lost {
                held_for,
                cause,
                reaction,
                pid,
            } => {
                let command =
                    pid.map_or_else(|| "the command".to_owned(), |pid| format!("pid {pid}"));
                let reaction = match reaction {
                    Reaction::Stops { signal, kill_in } => {
                        format!("stopping {command} ({signal}, KILL in {})", show(*kill_in))
                    }
                    Reaction::Kills => format!("killing {command}"),
                    Reaction::Continues => format!("{command} goes on, as --on-lost asks"),
                    Reaction::Ended => "found when the command had ended".to_owned(),
                };
                format!(
                    "lost \"{name}\" after {}: {}; {reaction}",
                    show(*held_for),
                    cause.text()
                )
            }
            Message::MaxRuntime {
                limit,
                pid,
                signal,
                kill_in,
            } => format!(
                "\"{name}\" ran longer than --max-runtime {}: stopping pid {pid} ({signal}, KILL in {})",
                show(*limit),
                show(*kill_in)
            ),
            Message::Unkillable { pid } => {
                let what = pid.map_or_else(
                    || "a process that the command left behind".to_owned(),
                    |pid| format!("pid {pid}"),
                );
                format!(
                    "{what} of \"{name}\" survived KILL (another user's, or stuck in the kernel); \
                     the lock is kept as long as the store allows"
                )
            }
            Message::Released { held_for } => {
                format!("released \"{name}\" after {}", show(*held_for))
            }
            Message::Forgotten => format!(
                "the store had lost its memory of \"{name}\" by the time of the release; \
                 the command ended within its lease"
            ),
            Message::ReleaseFailed { error, frees_in } => {
                let error = error
                    .as_ref()
                    .map_or("no answer in time", |error| &error.text);
                let frees = frees_in.map_or_else(String::new, |frees_in| {
                    format!("; it frees itself in {}", show(frees_in))
                });
                format!("could not release \"{name}\": {error}{frees}")
            }
            Message::RunsUnlocked { error } => {
                format!("{error}; running without the lock, as --on-unavailable asks")
            }
            Message::Skipped { skip, places } => {
                format!("skipped: {}", skip_text(&name, skip, *places))
            }
            Message::Unavailable(error) => format!("{error} (nothing was run)"),
            Message::NotStarted(
                StartError::NotFound(text)
                | StartError::CannotExecute(text)
                | StartError::ForkRefused(text),
            ) => text.clone(),
            Message::AlreadyHeld => format!(
                "\"{name}\" is already held by this job: one of the tasklock runs that it descends \
                 from has it (take another --name for the inner one)"
            ),
            Message::Defect => "a defect in tasklock ended this run (nothing is known to be wrong \
                 with the command); please report it"
                .to_owned(),
            Message::Failed(text) => text.clone(),
            Message::NotReported { path, error } => {
                format!("--report: cannot write {path}: {error}")
            }
        }
    }
}

impl LossCause {
    fn text(&self) -> String {
        match self {
            LossCause::TakenOver(Held {
                holder: Some(holder),
                ..
            }) => {
                format!("taken over by {}", who(holder))
            }
            LossCause::TakenOver(_) => "taken over by a job that leaves no details".to_owned(),
            LossCause::FenceMoved => "it was granted to another, or freed by force".to_owned(),
            LossCause::Expired => "the lease had ended before it could be refreshed".to_owned(),
            LossCause::Revoked { by } => format!("{} asked for it to be unlocked", escape(by)),
            LossCause::Overslept => {
                "tasklock or the whole machine was stopped past the end of the lease".to_owned()
            }
            LossCause::NoRoom => "it cannot be refreshed, and the lease is about to end".to_owned(),
            LossCause::KeeperGone => {
                "a defect in tasklock: nothing refreshes it any more".to_owned()
            }
        }
    }
}

fn skip_text(name: &str, skip: &Skip, places: u32) -> String {
    match skip {
        Skip::Held(held) if places > 1 => format!(
            "all {places} places of \"{name}\" are taken, one is {}",
            held_text(held)
        ),
        Skip::Held(held) => format!("\"{name}\" is {}", held_text(held)),
        Skip::WaitOver { queued, waited } => format!(
            "waited {} for \"{name}\" in vain: {}",
            show(*waited),
            queued_text(queued, places)
        ),
        Skip::Reserved(first) => {
            let first = first
                .as_ref()
                .map_or_else(|| "another run".to_owned(), who_and_what);
            format!("\"{name}\" is free, but {first} is first in line for it")
        }
        Skip::CoolingDown(remaining) => format!(
            "\"{name}\" is cooling down for another {} (--min-hold of its last run)",
            show(*remaining)
        ),
        Skip::AlreadyDone(done) => format!("\"{name}\" {}", done_text(*done)),
        Skip::Unavailable(error) => error.to_string(),
    }
}

fn done_text(done: Done) -> String {
    match done {
        Done::Recently { ago } => format!(
            "is done: a run that was asked for {} ago succeeded (--once-per)",
            show(ago)
        ),
        Done::SameKey => "is done: its last success had the same key (--once-key)".to_owned(),
        // One of them may still run.
        Done::Attempts { count } => {
            let attempts = if count == 1 { "attempt" } else { "attempts" };
            format!(
                "has had {count} {attempts} in this period without success, \
                 and is given no more (--once-attempts)"
            )
        }
    }
}

/// `held by root@web3 pid 4121 (./backup.sh) since 02:00:03 (14m), lease ends in 52s, reason: nightly`
#[must_use]
pub fn held_text(held: &Held) -> String {
    held_text_at(held, &Wall::here())
}

/// The same, told at another time.
#[must_use]
pub fn held_text_at(held: &Held, wall: &Wall) -> String {
    let mut text = format!("held by {}", holder_text(held));
    if let Some(age) = held.age {
        text.push_str(&format!(" since {} ({})", wall.ago(age), show(age)));
    }
    if held.revoked {
        text.push_str(", asked to stop");
    }
    if let Some(remaining) = held.remaining {
        text.push_str(&format!(", lease ends in {}", show(remaining)));
    }
    text + &reason_text(held)
}

/// `next in line; held by root@web3 pid 4121 (./backup.sh) since 02:00:03 (14m), lease ends in 52s`
fn queued_text(queued: &Queued, places: u32) -> String {
    let held = match &queued.held {
        None => FOR_ANOTHER.to_owned(),
        Some(held) if places > 1 => format!("one of {places} places is {}", held_text(held)),
        Some(held) => held_text(held),
    };
    match queued.place {
        Some(place) => format!("{}; {held}", place_text(place)),
        None => held,
    }
}

/// What a waiter shows at a terminal, the most important first, as the end may
/// not fit: `waiting for "backup": next in line, 9m48s left; held 14m by root@web3 pid 4121`
#[must_use]
pub fn waiting_line(name: &str, queued: &Queued, left: Option<Duration>, places: u32) -> String {
    let place = queued.place.map(place_text);
    let left = left.map(|left| format!("{} left", show(left)));
    let facts: Vec<_> = place.into_iter().chain(left).collect();
    let separator = if facts.is_empty() { "" } else { "; " };
    let held = match &queued.held {
        None => FOR_ANOTHER.to_owned(),
        Some(held) => {
            let age = held.age.map_or_else(String::new, |age| show(age) + " ");
            let one = match places {
                0 | 1 => String::new(),
                places => format!("one of {places} places is "),
            };
            let by = holder_text(held);
            format!("{one}held {age}by {by}{}", reason_text(held))
        }
    };
    let facts = facts.join(", ");
    format!("waiting for \"{}\": {facts}{separator}{held}", escape(name))
}

/// The lock of a waiter is free, but not for long.
const FOR_ANOTHER: &str = "held by nobody just now";

fn place_text(place: u32) -> String {
    match place {
        1 => "next in line".to_owned(),
        place => format!("number {place} in line"),
    }
}

fn holder_text(held: &Held) -> String {
    let holder = held.holder.as_ref();
    holder.map_or_else(|| "a job that leaves no details".to_owned(), who_and_what)
}

/// `, reason: nightly`
fn reason_text(held: &Held) -> String {
    let reason = held.holder.as_ref().and_then(|it| it.reason.as_ref());
    reason.map_or_else(String::new, |text| format!(", reason: {}", escape(text)))
}

fn who(holder: &Holder) -> String {
    format!("{} pid {}", escape(&holder.who), holder.pid)
}

/// `root@web3 pid 4121 (./backup.sh)`
#[must_use]
pub fn who_and_what(holder: &Holder) -> String {
    match holder.command.as_str() {
        "" => who(holder),
        command => format!("{} ({})", who(holder), escape(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Signal;

    fn held() -> Held {
        Held {
            holder: Some(Holder {
                id: "0011223344556677".into(),
                who: "root@web3".into(),
                pid: 4121,
                command: "./backup.sh".into(),
                reason: Some("nightly".into()),
            }),
            age: Some(Duration::from_secs(14 * 60)),
            remaining: Some(Duration::from_secs(52)),
            revoked: false,
        }
    }

    #[test]
    fn the_skip_line_is_the_contract_s() {
        let text = skipped(Skip::Held(held()));
        let (start, rest) = text.split_once(" since ").unwrap();
        assert_eq!(
            start,
            "skipped: \"backup\" is held by root@web3 pid 4121 (./backup.sh)"
        );
        let (_, end) = rest.split_once(" (").unwrap();
        assert_eq!(end, "14m), lease ends in 52s, reason: nightly");
    }

    #[test]
    fn the_lost_line_is_the_contract_s() {
        let mut held = held();
        held.holder = held.holder.map(|holder| Holder {
            who: "root@web4".into(),
            pid: 99,
            ..holder
        });
        let text = Message::Lost {
            held_for: Duration::from_secs(14 * 60),
            cause: LossCause::TakenOver(held),
            reaction: Reaction::Stops {
                signal: Signal::TERM,
                kill_in: Duration::from_secs(2),
            },
            pid: Some(4121),
        }
        .text("backup");
        assert_eq!(
            text,
            "lost \"backup\" after 14m: taken over by root@web4 pid 99; stopping pid 4121 (TERM, KILL in 2s)"
        );
    }

    fn skipped(skip: Skip) -> String {
        Message::Skipped { skip, places: 1 }.text("backup")
    }

    #[test]
    fn a_waiter_says_for_how_long_where_in_line_and_for_whom_it_waits() {
        let waiting = |held, place, left: Option<u64>| {
            let ask_in = Duration::ZERO;
            let queued = Queued {
                held,
                place,
                ask_in,
            };
            let left = left.map(Duration::from_secs);
            let places = 1;
            Message::Waiting {
                queued,
                left,
                places,
            }
            .text("backup")
        };
        let text = waiting(Some(held()), Some(1), Some(600));
        let start = "waiting for \"backup\" for at most 10m: next in line; \
                     held by root@web3 pid 4121 (./backup.sh) since ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with(" (14m), lease ends in 52s, reason: nightly"));
        assert_eq!(
            waiting(None, Some(3), None),
            "waiting for \"backup\": number 3 in line; held by nobody just now"
        );
        assert_eq!(
            waiting(Some(Held::default()), None, None),
            "waiting for \"backup\": held by a job that leaves no details"
        );
    }

    #[test]
    fn a_wait_that_is_over_says_how_long_it_was_and_for_whom() {
        let queued = Queued {
            held: Some(held()),
            place: Some(2),
            ask_in: Duration::ZERO,
        };
        let waited = Duration::from_secs(600);
        let text = skipped(Skip::WaitOver { queued, waited });
        let start =
            "skipped: waited 10m for \"backup\" in vain: number 2 in line; held by root@web3 ";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn of_a_lock_with_several_places_it_is_said_that_the_holder_is_one_of_them() {
        let one = "held by root@web3 pid 4121 (./backup.sh) since ";
        let skipped = |skip| Message::Skipped { skip, places: 3 }.text("gpu");
        let text = skipped(Skip::Held(held()));
        let start = format!("skipped: all 3 places of \"gpu\" are taken, one is {one}");
        assert!(text.starts_with(&start), "{text}");
        let queued = Queued {
            held: Some(held()),
            place: Some(2),
            ask_in: Duration::ZERO,
        };
        let line = waiting_line("gpu", &queued, None, 3);
        let start = "waiting for \"gpu\": number 2 in line; one of 3 places is held 14m by root@";
        assert!(line.starts_with(start), "{line}");
        let waiting = Message::Waiting {
            queued: queued.clone(),
            left: None,
            places: 3,
        };
        let waited = Duration::from_secs(60);
        for (text, start) in [
            (waiting.text("gpu"), "waiting for \"gpu\""),
            (
                skipped(Skip::WaitOver { queued, waited }),
                "skipped: waited 1m for \"gpu\" in vain",
            ),
        ] {
            let start = format!("{start}: number 2 in line; one of 3 places is {one}");
            assert!(text.starts_with(&start), "{text}");
        }
    }

    #[test]
    fn a_line_at_a_terminal_begins_with_what_must_not_be_cut_off() {
        let queued = |held, place| Queued {
            held,
            place,
            ask_in: Duration::ZERO,
        };
        let left = Some(Duration::from_secs(588));
        assert_eq!(
            waiting_line("backup", &queued(Some(held()), Some(1)), left, 1),
            "waiting for \"backup\": next in line, 9m48s left; \
             held 14m by root@web3 pid 4121 (./backup.sh), reason: nightly"
        );
        assert_eq!(
            waiting_line("b\x07", &queued(None, None), None, 1),
            "waiting for \"b\\u{7}\": held by nobody just now"
        );
    }

    #[test]
    fn a_skip_says_why_and_which_option_asked_for_it() {
        let seconds = Duration::from_secs;
        assert_eq!(
            skipped(Skip::Reserved(held().holder)),
            "skipped: \"backup\" is free, but root@web3 pid 4121 (./backup.sh) is first in line for it"
        );
        assert_eq!(
            skipped(Skip::Reserved(None)),
            "skipped: \"backup\" is free, but another run is first in line for it"
        );
        assert_eq!(
            skipped(Skip::CoolingDown(seconds(40))),
            "skipped: \"backup\" is cooling down for another 40s (--min-hold of its last run)"
        );
        assert_eq!(
            skipped(Skip::AlreadyDone(Done::Recently { ago: seconds(40) })),
            "skipped: \"backup\" is done: a run that was asked for 40s ago succeeded (--once-per)"
        );
        assert_eq!(
            skipped(Skip::AlreadyDone(Done::SameKey)),
            "skipped: \"backup\" is done: its last success had the same key (--once-key)"
        );
        for (count, attempts) in [(1, "1 attempt"), (2, "2 attempts")] {
            assert_eq!(
                skipped(Skip::AlreadyDone(Done::Attempts { count })),
                format!(
                    "skipped: \"backup\" has had {attempts} in this period without success, \
                     and is given no more (--once-attempts)"
                )
            );
        }
    }

    #[test]
    fn texts_of_others_cannot_steer_the_terminal() {
        let mut held = held();
        held.holder = held.holder.map(|holder| Holder {
            command: "\x1b[2J\nrm".into(),
            ..holder
        });
        let skip = Skip::Held(held);
        let text = Message::Skipped { skip, places: 1 }.text("a\x07b");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
