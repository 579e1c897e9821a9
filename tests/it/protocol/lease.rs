//! The lease of one server: two clients, three clocks, messages of any delay.
//!
//! Time goes in ticks of the server's clock. A client's clock may lag: by one
//! tick in each ttl, which is what the drift is there for. A client whose
//! deadline has come ends its job before anything else happens.

use stateright::{Checker, Model, Property};

/// In ticks.
const TTL: u8 = 3;
/// A grant, a refresh, and a takeover.
const END: u8 = 2 * TTL + 2;
const CLIENTS: usize = 2;

/// How a client judges the end of its lease.
#[derive(Clone, Copy, Debug)]
struct World {
    /// Ticks kept in hand.
    drift: u8,
    counts_from: From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Before the request was sent.
    Sending,
    /// When the answer came.
    Answer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Message {
    #[default]
    None,
    /// On its way to the server, sent at this time of the client's clock.
    Asks(u8),
    /// The confirmation is on its way back.
    Confirms(u8),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Client {
    clock: u8,
    /// How many ticks ago the clock lagged, up to the ttl.
    steady: u8,
    message: Message,
    /// While the job runs.
    deadline: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    /// Who has the lock, until when.
    lease: Option<(u8, u8)>,
    clients: [Client; CLIENTS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Time passes; which clients' clocks lag.
    Tick([bool; CLIENTS]),
    /// Asks for the lock, or for more time.
    Sends(usize),
    Arrives(usize),
    Returns(usize),
    /// The message is lost.
    Lost(usize),
    /// The job ends, and the lock is released at once.
    Finishes(usize),
}

impl Client {
    fn end_if_due(&mut self) {
        if self.deadline.is_some_and(|deadline| self.clock >= deadline) {
            self.deadline = None;
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::default();
        for client in &mut state.clients {
            client.steady = TTL;
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < END {
            for lags in [[false, false], [true, false], [false, true], [true, true]] {
                let may = |number: usize| !lags[number] || state.clients[number].steady >= TTL;
                if (0..CLIENTS).all(may) {
                    actions.push(Action::Tick(lags));
                }
            }
        }
        for (number, client) in state.clients.iter().enumerate() {
            match client.message {
                Message::None => actions.push(Action::Sends(number)),
                Message::Asks(_) => {
                    actions.extend([Action::Arrives(number), Action::Lost(number)]);
                }
                Message::Confirms(_) => {
                    actions.extend([Action::Returns(number), Action::Lost(number)]);
                }
            }
            if client.deadline.is_some() {
                actions.push(Action::Finishes(number));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Tick(lags) => {
                next.now += 1;
                for (client, lags) in next.clients.iter_mut().zip(lags) {
                    client.clock += u8::from(!lags);
                    client.steady = if lags { 1 } else { TTL.min(client.steady + 1) };
                    client.end_if_due();
                }
            }
            Action::Sends(number) => {
                let client = &mut next.clients[number];
                client.message = Message::Asks(client.clock);
            }
            Action::Arrives(number) => {
                let client = &mut next.clients[number];
                let Message::Asks(sent) = client.message else {
                    return None;
                };
                let number = u8::try_from(number).unwrap();
                let free = match state.lease {
                    // A key expires when the time is past its end, not at it.
                    Some((owner, end)) => owner == number || state.now > end,
                    None => true,
                };
                if free {
                    next.lease = Some((number, state.now + TTL));
                }
                client.message = if free {
                    Message::Confirms(sent)
                } else {
                    Message::None
                };
            }
            Action::Returns(number) => {
                let client = &mut next.clients[number];
                let Message::Confirms(sent) = client.message else {
                    return None;
                };
                let from = match self.counts_from {
                    From::Sending => sent,
                    From::Answer => client.clock,
                };
                client.message = Message::None;
                client.deadline = client.deadline.max(Some(from + TTL - self.drift));
                client.end_if_due();
            }
            Action::Lost(number) => next.clients[number].message = Message::None,
            Action::Finishes(number) => {
                let client = &mut next.clients[number];
                client.deadline = None;
                // Its refresh is not to come after its release: they share a connection.
                client.message = Message::None;
                let owner = state.lease.map(|(owner, _)| usize::from(owner));
                if owner == Some(number) {
                    next.lease = None;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<World>> {
        vec![
            Property::always(EXCLUSION, |_, state: &State| {
                let runs = |it: &&Client| it.deadline.is_some();
                state.clients.iter().filter(runs).count() <= 1
            }),
            Property::sometimes("a lease is taken over after its end", |_, state: &State| {
                state.lease.is_some_and(|(owner, _)| owner == 1)
                    && state.now > TTL
                    && state.clients[1].deadline.is_some()
            }),
        ]
    }
}

const EXCLUSION: &str = "at most one job runs";

#[track_caller]
fn fails(world: World) {
    let checked = world.checker().spawn_bfs().join();
    assert!(checked.discovery(EXCLUSION).is_some(), "{world:?} holds");
}

#[test]
fn a_lease_that_counts_from_the_sending_less_the_drift_excludes() {
    let world = World {
        drift: 1,
        counts_from: From::Sending,
    };
    let checked = world.checker().threads(2).spawn_bfs().join();
    assert!(checked.is_done() && checked.unique_state_count() > 10_000);
    checked.assert_properties();
}

#[test]
fn a_lease_without_drift_fails_when_a_clock_lags() {
    fails(World {
        drift: 0,
        counts_from: From::Sending,
    });
}

#[test]
fn a_lease_that_counts_from_the_answer_fails() {
    fails(World {
        drift: 1,
        counts_from: From::Answer,
    });
}
