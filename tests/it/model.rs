//! The supervisor under random events: what may never happen, does not.
//!
//! A simulated world answers the supervisor's actions as late, as wrongly and in
//! whatever order the real one may, and wakes it when it asked to be woken.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use tasklock::clock::Tick;
use tasklock::exit::{ChildStatus, Outcome, StartError};
use tasklock::lease::Terms;
use tasklock::signals::{Origin, Received, Signal};
use tasklock::store::{
    Acquire, Done, End, Fence, Grant, Held, Loss, Queued, Refresh, Release, StoreError,
    StoreErrorKind,
};
use tasklock::supervisor::{Action, Answer, Event, OnLost, OnUnavailable, Plan, Supervisor};

/// What the world does next.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes; the supervisor is woken when it asked to be, and at the end.
    Pass(u64),
    /// We are stopped (SIGSTOP, suspend) for this long, and woken only then,
    /// perhaps by the end of the child.
    Sleep(u64, bool),
    /// The request under way is answered.
    Reply(Reply),
    /// A signal comes.
    Signal(Signal, Origin),
    /// The child ends, with or without leaving descendants.
    ChildEnds(bool),
    /// What the child left behind ends.
    RestEnds,
    /// The child stops.
    ChildStops,
    /// The store's bell rings.
    Ring,
    /// The keeper's thread dies.
    KeeperDies,
}

#[derive(Clone, Debug)]
enum Reply {
    Yes,
    No,
    Error(StoreErrorKind),
    Revoked,
    /// To a request for the lock: there is no need to run, or not yet.
    Needless(bool),
    /// To a request for the lock: in line, and when to ask again.
    InLine(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        4 => Just(StoreErrorKind::Unavailable),
        1 => Just(StoreErrorKind::Denied),
        1 => Just(StoreErrorKind::Misconfigured),
    ];
    let reply = prop_oneof![
        10 => Just(Reply::Yes),
        1 => Just(Reply::No),
        4 => kind.prop_map(Reply::Error),
        1 => Just(Reply::Revoked),
        1 => any::<bool>().prop_map(Reply::Needless),
        4 => (1u64..3000).prop_map(Reply::InLine),
    ];
    let signal = prop_oneof![
        Just(Signal::TERM),
        Just(Signal::INT),
        Just(Signal::HUP),
        Just(Signal::CONT),
        Just(Signal::USR1),
    ];
    let origin = prop_oneof![Just(Origin::Kernel), Just(Origin::Process)];
    let step = prop_oneof![
        6 => (0u64..3000).prop_map(Step::Pass),
        2 => (3000u64..70_000).prop_map(Step::Pass),
        1 => (0u64..90_000, any::<bool>()).prop_map(|(ms, ended)| Step::Sleep(ms, ended)),
        10 => reply.prop_map(Step::Reply),
        1 => (signal, origin).prop_map(|(signal, origin)| Step::Signal(signal, origin)),
        1 => any::<bool>().prop_map(Step::ChildEnds),
        1 => Just(Step::RestEnds),
        1 => Just(Step::ChildStops),
        2 => Just(Step::Ring),
        1 => Just(Step::KeeperDies),
    ];
    proptest::collection::vec(step, 1..60)
}

fn plans() -> impl Strategy<Value = Plan> {
    (
        prop_oneof![Just(1u64), Just(5), Just(60)],
        any::<bool>(),
        prop_oneof![4 => Just(OnLost::Stop), 1 => Just(OnLost::Continue)],
        prop_oneof![
            Just(OnUnavailable::Fail),
            Just(OnUnavailable::Run),
            Just(OnUnavailable::Skip)
        ],
        proptest::option::of(100u64..30_000),
        any::<bool>(),
        prop_oneof![
            2 => Just(Duration::ZERO),
            2 => (1u64..60_000).prop_map(Duration::from_millis),
            1 => Just(Duration::MAX)
        ],
        prop_oneof![3 => Just(0u64), 1 => 1u64..5000],
    )
        .prop_map(
            |(
                ttl,
                unending,
                on_lost,
                on_unavailable,
                max_runtime,
                shares_terminal,
                wait,
                delay,
            )| Plan {
                terms: Terms::new(Duration::from_secs(ttl), None, None),
                unending,
                wait,
                places: 1,
                reach_for: Duration::from_secs(5),
                delay: Duration::from_millis(delay),
                on_unavailable,
                on_lost,
                stop_signal: Signal::TERM,
                max_runtime: max_runtime.map(Duration::from_millis),
                shares_terminal,
                ancestors: vec!["ours".to_owned()],
            },
        )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Acquire,
    Refresh,
    Release,
    Withdraw,
}

/// The world, and what it has seen.
struct World {
    plan: Plan,
    supervisor: Supervisor,
    now: Tick,
    under_way: Vec<(Asked, Tick)>,
    /// The child itself is alive.
    child: bool,
    /// Some of its descendants are.
    rest: bool,
    spawned: bool,
    /// The command cannot be started.
    missing: bool,
    /// The stop of the whole tree was ordered.
    stopped: bool,
    killed: bool,
    lost: bool,
    keeper_dead: bool,
    /// We were asleep at some time: what was due then came late.
    slept: bool,
    /// The child ended by itself after its lease.
    ended_late: bool,
    releases_after_spawn: u32,
    /// We stand in line, as far as the answers tell.
    in_line: bool,
    /// When the run was asked for.
    started: Tick,
    /// The end of the lease by the last confirmed answer.
    deadline: Tick,
    outcome: Option<Outcome>,
}

impl World {
    fn new(plan: Plan, missing: bool) -> World {
        World {
            supervisor: Supervisor::new(plan.clone()),
            plan,
            now: Tick::from_boot(Duration::from_secs(1000)),
            started: Tick::from_boot(Duration::from_secs(1000)),
            under_way: Vec::new(),
            child: false,
            rest: false,
            spawned: false,
            missing,
            stopped: false,
            killed: false,
            lost: false,
            keeper_dead: false,
            slept: false,
            ended_late: false,
            releases_after_spawn: 0,
            in_line: false,
            deadline: Tick::NEVER,
            outcome: None,
        }
    }

    fn feed(&mut self, event: Event) -> Result<(), TestCaseError> {
        let mut events = VecDeque::from([event]);
        while self.outcome.is_none()
            && let Some(event) = events.pop_front()
        {
            for action in self.supervisor.handle(self.now, event) {
                prop_assert!(self.outcome.is_none(), "{action:?} after the finish");
                events.extend(self.perform(action)?);
            }
        }
        Ok(())
    }

    /// Does as it is told, and says what comes of it at once.
    fn perform(&mut self, action: Action) -> Result<Vec<Event>, TestCaseError> {
        let mut events = Vec::new();
        match action {
            Action::Acquire(ask) => {
                prop_assert!(!self.spawned);
                prop_assert_eq!(ask.in_line, !self.plan.wait.is_zero());
                prop_assert_eq!(ask.waited, self.now.since(self.started));
                prop_assert!(ask.waited >= self.plan.delay, "asked too early");
                self.ask(Asked::Acquire)?;
            }
            Action::Refresh => {
                prop_assert!(!self.lost, "refresh after a definite loss");
                self.ask(Asked::Refresh)?;
            }
            Action::Wait { until, .. } => {
                prop_assert!(self.in_line && self.now < until, "a wait that is over");
            }
            Action::Release(end) => {
                self.in_line = false;
                let unstarted = matches!(end, End::Unstarted | End::Withdrawn);
                prop_assert!(unstarted != self.spawned, "{end:?}");
                prop_assert!(!self.lost, "release after a definite loss");
                prop_assert!(!self.child, "release while the child is alive");
                prop_assert!(
                    !self.stopped || !self.rest,
                    "release before the tree is gone"
                );
                if self.spawned {
                    self.releases_after_spawn += 1;
                    prop_assert!(self.releases_after_spawn == 1, "released twice");
                }
                if !self.keeper_dead {
                    // Queued behind a request that may be under way.
                    self.under_way.push((Asked::Release, self.now));
                }
            }
            Action::Withdraw(_) => {
                prop_assert!(!self.spawned);
                self.in_line = false;
                self.under_way.push((Asked::Withdraw, self.now));
            }
            Action::Spawn { grant } => {
                prop_assert!(!self.spawned, "spawned twice");
                prop_assert!(
                    grant.is_none() || self.now < self.deadline,
                    "spawned on a lease that has ended"
                );
                if self.missing {
                    let text = "not found".to_owned();
                    events.push(Event::StartFailed(StartError::NotFound(text)));
                } else {
                    self.spawned = true;
                    self.child = true;
                    events.push(Event::Started { pid: 77 });
                }
            }
            Action::KillTree => {
                self.killed = true;
                self.rest = false;
                if std::mem::take(&mut self.child) {
                    events.push(Event::ChildEnded(ChildStatus::Killed(Signal::KILL)));
                }
                events.push(Event::TreeGone);
            }
            Action::StopTree(_) => {
                self.stopped = true;
                prop_assert!(
                    !self.must_stop() || self.now < self.deadline,
                    "woken after its lease"
                );
                prop_assert!(self.spawned, "a signal to nobody");
                let latest = self.deadline - self.plan.terms.margin - self.plan.terms.kill_after;
                prop_assert!(
                    !self.must_stop()
                        || self.slept
                        || self.lost
                        || self.keeper_dead
                        || self.now <= latest,
                    "the stop signal leaves less than kill-after: {:?}, latest {:?}",
                    self.now,
                    latest
                );
            }
            Action::Forward(signal) => {
                prop_assert!(self.spawned, "a signal to nobody");
                let late = self.must_stop() && self.now >= self.deadline;
                prop_assert!(signal != Signal::CONT || !late, "woken after its lease");
            }
            Action::StopSelf | Action::Say(_) => {}
            Action::Finish(outcome) => {
                prop_assert!(outcome != Outcome::Defect || self.keeper_dead, "a defect");
                prop_assert!(
                    !self.in_line || self.keeper_dead,
                    "left behind in line: {outcome:?}"
                );
                prop_assert!(
                    !self.child,
                    "finished while the child is alive: {outcome:?}"
                );
                self.outcome = Some(outcome);
            }
        }
        Ok(events)
    }

    fn ask(&mut self, asked: Asked) -> Result<(), TestCaseError> {
        prop_assert!(
            self.under_way.is_empty(),
            "two requests at a time: {:?}",
            self.under_way
        );
        if !self.keeper_dead {
            self.under_way.push((asked, self.now));
        }
        Ok(())
    }

    /// Time passes until `to`; the supervisor is woken when it asked for it.
    fn pass(&mut self, to: Tick) -> Result<(), TestCaseError> {
        let mut wakes = 0;
        while self.outcome.is_none()
            && let Some(wake) = self.supervisor.next_wake().filter(|wake| *wake <= to)
        {
            self.now = self.now.max(wake);
            self.feed(Event::Wake)?;
            self.check()?;
            wakes += 1;
            prop_assert!(wakes < 10_000, "it is woken without end");
        }
        self.now = self.now.max(to);
        self.check()
    }

    /// The lock is held, and the child may not outlive it.
    fn must_stop(&self) -> bool {
        self.plan.on_lost == OnLost::Stop && self.supervisor.fence().is_some()
    }

    /// Woken in time, nothing of the tree is alive at the deadline, and nobody
    /// waits longer than was asked for.
    fn check(&self) -> Result<(), TestCaseError> {
        if self.in_line && self.outcome.is_none() && self.under_way.is_empty() {
            let until = self.started + self.plan.delay + self.plan.wait;
            prop_assert!(self.now < until, "it still waits at {:?}", self.now);
        }
        if self.must_stop() && self.outcome.is_none() {
            prop_assert!(
                !self.child || self.now < self.deadline,
                "the child is alive at {:?}, the lease ended at {:?}",
                self.now,
                self.deadline
            );
        }
        Ok(())
    }

    fn reply(&mut self, reply: Reply) -> Result<(), TestCaseError> {
        if self.outcome.is_some() || self.under_way.is_empty() {
            return Ok(());
        }
        let (asked, sent_at) = self.under_way.remove(0);
        let grant = Grant {
            fence: Fence(7),
            end_ms: 1,
            slot: 0,
        };
        let ends = if self.plan.unending {
            Tick::NEVER
        } else {
            sent_at + self.plan.terms.ttl - self.plan.terms.drift
        };
        let error = |kind| StoreError::new(kind, "trouble");
        let waits = !self.plan.wait.is_zero();
        let answer = match asked {
            Asked::Acquire => {
                let result = match reply {
                    Reply::Yes => {
                        self.deadline = ends;
                        self.in_line = false;
                        Ok(Acquire::Granted(grant))
                    }
                    Reply::InLine(ms) if waits => {
                        self.in_line = self.outcome.is_none();
                        Ok(Acquire::Queued(Queued {
                            ask_in: Duration::from_millis(ms),
                            ..Queued::default()
                        }))
                    }
                    Reply::InLine(_) => Ok(Acquire::Reserved { first: None }),
                    Reply::Needless(done) => {
                        self.in_line = false;
                        Ok(if done {
                            Acquire::Done(Done::SameKey)
                        } else {
                            Acquire::CoolingDown {
                                remaining: Duration::from_secs(1),
                            }
                        })
                    }
                    Reply::No | Reply::Revoked => Ok(Acquire::Held(Held::default())),
                    Reply::Error(kind) => Err(error(kind)),
                };
                Answer::Acquired { sent_at, result }
            }
            Asked::Refresh => {
                let result = match reply {
                    Reply::Yes => {
                        if self.deadline != Tick::NEVER {
                            self.deadline = self.deadline.max(ends);
                        }
                        Ok(Refresh::Held(grant))
                    }
                    Reply::No => {
                        self.lost = true;
                        Ok(Refresh::Lost(Loss::FenceMoved))
                    }
                    Reply::Revoked | Reply::Needless(_) | Reply::InLine(_) => {
                        Ok(Refresh::Revoked {
                            by: "root@web3".to_owned(),
                        })
                    }
                    Reply::Error(kind) => Err(error(kind)),
                };
                Answer::Refreshed { sent_at, result }
            }
            Asked::Release => Answer::Released(match reply {
                Reply::Yes | Reply::Revoked | Reply::Needless(_) | Reply::InLine(_) => {
                    Ok(Release::Released)
                }
                Reply::No => Ok(Release::NotOurs(None)),
                Reply::Error(kind) => Err(error(kind)),
            }),
            Asked::Withdraw => Answer::Withdrawn,
        };
        self.feed(Event::Answer(answer))
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Pass(ms) => self.pass(self.now + Duration::from_millis(ms)),
            Step::Sleep(ms, ended) => {
                // Nothing can be promised of the time asleep, all of the time after.
                self.slept = true;
                self.now = self.now + Duration::from_millis(ms);
                if ended {
                    // Of all that waits for us, this comes first.
                    self.step(Step::ChildEnds(false))?;
                }
                let wake = Event::Signal(Received {
                    signal: Signal::CONT,
                    origin: Origin::Process,
                });
                self.feed(wake)?;
                self.check()
            }
            Step::Reply(reply) => self.reply(reply),
            Step::Signal(signal, origin) => self.feed(Event::Signal(Received { signal, origin })),
            Step::ChildEnds(leaves) => {
                if std::mem::take(&mut self.child) {
                    let held = self.supervisor.fence().is_some();
                    self.ended_late |= held && self.now >= self.deadline;
                    self.rest = leaves;
                    self.feed(Event::ChildEnded(ChildStatus::Exited(3)))?;
                    if !leaves {
                        self.feed(Event::TreeGone)?;
                    }
                }
                Ok(())
            }
            Step::RestEnds => {
                if !self.child && std::mem::take(&mut self.rest) {
                    self.feed(Event::TreeGone)?;
                }
                Ok(())
            }
            Step::ChildStops if self.child => self.feed(Event::ChildStopped),
            Step::ChildStops => Ok(()),
            Step::Ring => {
                let listens = self.supervisor.listens();
                self.feed(Event::Rung)?;
                let asks = self
                    .under_way
                    .iter()
                    .any(|(asked, _)| *asked == Asked::Acquire);
                prop_assert!(
                    !listens || asks || self.keeper_dead || self.outcome.is_some(),
                    "it does not ask when the bell rings"
                );
                self.check()
            }
            Step::KeeperDies => {
                if !self.keeper_dead && !self.plan.unending {
                    self.keeper_dead = true;
                    self.under_way
                        .retain(|(asked, _)| *asked == Asked::Withdraw);
                    self.feed(Event::KeeperGone)?;
                }
                Ok(())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_breaks_an_invariant(
        plan in plans(),
        missing in prop::bool::weighted(0.1),
        steps in steps(),
    ) {
        let mut world = World::new(plan, missing);
        world.feed(Event::Start)?;
        for step in steps {
            world.step(step)?;
        }
        // In the end somebody has enough of a wait without limit,
        if world.outcome.is_none() && !world.spawned && world.plan.wait == Duration::MAX {
            world.step(Step::Signal(Signal::TERM, Origin::Process))?;
        }
        // the child ends, the store answers or not, and so does the run.
        for _ in 0..4 {
            world.step(Step::ChildEnds(false))?;
            world.step(Step::RestEnds)?;
            world.pass(world.now + Duration::from_secs(10))?;
        }
        if world.outcome.is_none() {
            // Only an acquire that is never answered can be left: the store's own
            // timeout ends it.
            prop_assert_eq!(&world.under_way.first().map(|(asked, _)| *asked), &Some(Asked::Acquire));
            for _ in 0..30 {
                world.reply(Reply::Error(StoreErrorKind::Unavailable))?;
                world.pass(world.now + Duration::from_secs(1))?;
                world.step(Step::ChildEnds(false))?;
            }
        }
        prop_assert!(world.outcome.is_some(), "it never ends: {:?}", world.supervisor);
        if world.ended_late || (world.lost && world.spawned) {
            prop_assert!(matches!(world.outcome, Some(Outcome::Lost(_))), "{:?}", world.outcome);
        }
    }
}
