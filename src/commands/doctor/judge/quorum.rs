//! The nodes of a quorum: how many can vote, and how far they agree.

use std::time::Duration;

use super::error_of;
use crate::commands::doctor::facts::{Place, Server, Shape};
use crate::commands::doctor::finding::{Finding, Level};
use crate::duration::show;
use crate::exit::Code;
use crate::store::{StoreError, StoreErrorKind};

/// How far a node follows the fence that is offered to it.
const FENCE_REACH: Duration = Duration::from_secs(5);
/// As `HOLD_OFF` in `quorum.lua`.
const HOLD_OFF: Duration = Duration::from_secs(5 * 60);

/// How many nodes there are, and how many of them are no help just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Votes {
    count: usize,
    down: usize,
    /// They answer, but have no vote.
    mute: usize,
}

impl Votes {
    /// None: it is no quorum.
    pub(super) fn of(place: &Place) -> Option<Votes> {
        match place {
            Place::Servers {
                shape: Shape::Quorum(count),
                servers,
                ..
            } => Some(Votes::counted(*count, servers)),
            _ => None,
        }
    }

    fn counted(count: usize, servers: &[Result<Server, StoreError>]) -> Votes {
        let seen: Vec<&Server> = servers.iter().flatten().collect();
        let is_mute = |server: &&&Server| silence(server, &seen).is_some();
        Votes {
            count,
            down: servers.len() - seen.len(),
            mute: seen.iter().filter(is_mute).count(),
        }
    }

    fn needed(self) -> usize {
        self.count / 2 + 1
    }

    fn able(self) -> usize {
        self.count.saturating_sub(self.down + self.mute)
    }

    /// Whether a lock can be taken.
    pub(super) fn are_enough(self) -> bool {
        self.able() >= self.needed()
    }

    /// Whether a run is answered: what those without a vote know of a lock is true.
    pub(super) fn reach(self) -> Finding {
        let answering = self.count.saturating_sub(self.down);
        let text = format!("{answering} of the {} nodes answer", self.count);
        if answering >= self.needed() {
            return Finding::ok("reach", text);
        }
        Finding::new("reach", Level::Error(Code::Unavailable), text)
            .advise("no lock can be taken, runs end with 69: bring back those that are down")
    }
}

/// What is to be said of the nodes together.
pub(super) fn judge(count: usize, servers: &[Result<Server, StoreError>]) -> Vec<Finding> {
    let votes = Votes::counted(count, servers);
    let seen: Vec<&Server> = servers.iter().flatten().collect();
    let mut findings = vec![majority(votes)];
    findings.extend(twins(&seen));
    findings.extend(seen.iter().filter_map(|server| voting(server, &seen)));
    findings.extend(apart(&seen));
    findings
}

/// Whether enough can vote, and whether their number is a good one.
fn majority(votes: Votes) -> Finding {
    let (count, needed) = (votes.count, votes.needed());
    if !votes.are_enough() {
        let text = format!(
            "{} of {count} nodes can vote, {needed} have to: {} down, {} without a vote",
            votes.able(),
            votes.down,
            votes.mute
        );
        return Finding::new("quorum", Level::Error(Code::Unavailable), text).advise(
            "no lock can be taken, runs end with 69: bring back those that are down, and wait for \
             the votes of the others without restarting any",
        );
    }
    let text = format!("{count} nodes, of which {needed} have to answer");
    if count.is_multiple_of(2) {
        return Finding::warning("quorum", text).advise(format!(
            "{count} nodes survive the loss of no more than {} do: take one away, or add one",
            count - 1
        ));
    }
    Finding::ok("quorum", text)
}

/// Two URLs of one server.
fn twins(servers: &[&Server]) -> Option<Finding> {
    let id = |server: &Server| server.info("run_id").map(str::to_owned);
    let pair = servers.iter().enumerate().find_map(|(at, one)| {
        let other = servers[at + 1..]
            .iter()
            .find(|it| id(it).is_some() && id(it) == id(one))?;
        Some((one, other))
    })?;
    let text = format!("{} and {} are the same server", pair.0.name, pair.1.name);
    let error = StoreError::new(StoreErrorKind::Misconfigured, text);
    Some(error_of("quorum", &error))
}

/// A node that does not vote just now.
fn voting(server: &Server, all: &[&Server]) -> Option<Finding> {
    let finding = Finding::warning("quorum", silence(server, all)?).about(&server.name);
    Some(finding.advise("restart no other node until it votes again"))
}

/// Why a node has no vote, and for how long; None: it has one. Nodes none of which
/// has served are about to be used for the first time, and all of them vote.
fn silence(server: &Server, all: &[&Server]) -> Option<String> {
    let serves = |server: &&Server| matches!(server.mark, Ok(Some(_)));
    let Some(mark) = server.mark.as_ref().ok()? else {
        return all.iter().any(serves).then(|| {
            format!(
                "it lost its memory, and has no vote until {} after a run has noticed: one that \
                 refreshes its lock, or finds no majority",
                show(HOLD_OFF)
            )
        });
    };
    let restarted = server
        .info("run_id")
        .is_some_and(|it| it != mark.run_id && mark.run_id != "-");
    if restarted || mark.votes_in > HOLD_OFF {
        let what = if restarted {
            "it was restarted"
        } else {
            "its clock has stepped back"
        };
        let rest = show(HOLD_OFF);
        return Some(format!(
            "{what}, and has no vote for {rest} from the next request on"
        ));
    }
    let rest = show(mark.votes_in);
    (!mark.votes_in.is_zero())
        .then(|| format!("it lost its memory, and has no vote for another {rest}"))
}

/// How far the clocks of the nodes are apart.
fn apart(servers: &[&Server]) -> Option<Finding> {
    let clocks: Vec<_> = servers
        .iter()
        .filter_map(|it| it.clock.as_ref().ok())
        .collect();
    let first = clocks.iter().map(|clock| clock.ahead).min()?;
    let last = clocks.iter().map(|clock| clock.ahead).max()?;
    let error = clocks.iter().map(|clock| clock.ahead_error).max()?;
    let apart = Duration::from_micros(last.abs_diff(first));
    let text = format!("the clocks of the nodes are {} apart", show(apart));
    let error = Duration::from_micros(error.unsigned_abs() * 2);
    if apart.saturating_sub(error) <= FENCE_REACH {
        return Some(Finding::ok("clocks", text));
    }
    Some(Finding::warning("clocks", text).advise(format!(
        "nodes whose clocks are more than {} apart do not agree on a fence at once: set them by NTP",
        show(FENCE_REACH)
    )))
}
