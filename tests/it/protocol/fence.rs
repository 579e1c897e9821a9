//! The fence of a quorum: three nodes, two rounds, no assumption on time.
//!
//! Requests arrive late or never, and some twice; a lease may end at any moment;
//! a client may stop anywhere. An answer that comes too late for its client is
//! never seen. (The answer to the second phase is seen at once: what is lost of
//! these only makes fewer rounds succeed.)

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

const NODES: usize = 3;
const MAJORITY: usize = 2;
const ROUNDS: usize = 2;

/// Which of the rules are kept. [`Rules::ALL`] are those of `store::quorum`.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// The number is written to a majority before it is used, unless that gave it.
    second_phase: bool,
    /// A node acknowledges only to its owner.
    by_owner: bool,
    /// Only nodes count whose first answer was seen.
    of_seen: bool,
    /// A node acknowledges only for the grant whose number was seen.
    same_grant: bool,
}

impl Rules {
    const ALL: Rules = Rules {
        second_phase: true,
        by_owner: true,
        of_seen: true,
        same_grant: true,
    };
}

/// The world: its rules, and what differs from one test to the next.
#[derive(Clone, Copy, Debug)]
struct World {
    rules: Rules,
    /// How many first requests arrive a second time.
    duplicates: u8,
    /// The least number that each round proposes.
    proposals: [u8; ROUNDS],
    /// The highest number that each node gave before.
    counters: [u8; NODES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node {
    counter: u8,
    /// The round that has it, and the number that it gave to it.
    grant: Option<(u8, u8)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Idle,
    /// The first requests are on their way.
    Asking,
    /// This is to be the number; the second requests are on their way.
    Writing(u8),
    /// It is.
    Confirmed(u8),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Round {
    phase: Phase,
    /// The highest number confirmed before it began.
    floor: u8,
    /// Whether the first request has arrived at each node.
    arrived: [bool; NODES],
    /// What each node answered to it, as far as it was seen.
    seen: [Option<u8>; NODES],
    /// Whether the second request has arrived at each node.
    written: [bool; NODES],
    acknowledged: [bool; NODES],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    nodes: [Node; NODES],
    rounds: [Round; ROUNDS],
    duplicated: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Begin(usize),
    /// A round's first request arrives at a node; is the answer seen in time?
    Arrives(usize, usize, bool),
    /// The same, once more.
    ArrivesAgain(usize, usize, bool),
    /// The round has heard enough.
    Decide(usize),
    /// A round's second request arrives at a node.
    Writes(usize, usize),
    /// The lease at a node ends, or is released.
    Ends(usize),
}

impl World {
    fn ask(&self, state: &mut State, round: usize, node: usize, is_seen: bool) -> bool {
        let it = &mut state.nodes[node];
        let owner = u8::try_from(round).unwrap();
        let number = match it.grant {
            // Asked again: the same grant.
            Some((other, number)) if other == owner => number,
            Some(_) => return false,
            None => {
                it.counter = (it.counter + 1).max(self.proposals[round]);
                it.grant = Some((owner, it.counter));
                it.counter
            }
        };
        let round = &mut state.rounds[round];
        if is_seen && round.phase == Phase::Asking && round.seen[node].is_none() {
            round.seen[node] = Some(number);
        }
        true
    }

    fn decide(&self, round: &mut Round) {
        let highest = round.seen.iter().flatten().copied().max().unwrap();
        let gave = round.seen.iter().filter(|&&it| it == Some(highest)).count();
        round.phase = if !self.rules.second_phase || gave >= MAJORITY {
            Phase::Confirmed(highest)
        } else {
            Phase::Writing(highest)
        };
    }

    fn write(&self, state: &mut State, round: usize, node: usize) {
        let Phase::Writing(number) = state.rounds[round].phase else {
            return;
        };
        state.rounds[round].written[node] = true;
        let seen = state.rounds[round].seen[node];
        let it = &mut state.nodes[node];
        let owner = it.grant.filter(|(owner, _)| usize::from(*owner) == round);
        let same = owner.is_some_and(|(_, gave)| seen.is_none_or(|seen| seen == gave));
        if self.rules.by_owner && owner.is_none() || self.rules.same_grant && !same {
            return;
        }
        it.counter = it.counter.max(number);
        let round = &mut state.rounds[round];
        round.acknowledged[node] = true;
        if round.acknowledged.iter().filter(|it| **it).count() >= MAJORITY {
            round.phase = Phase::Confirmed(number);
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::default();
        for (node, counter) in state.nodes.iter_mut().zip(self.counters) {
            node.counter = counter;
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, round) in state.rounds.iter().enumerate() {
            if round.phase == Phase::Idle {
                actions.push(Action::Begin(number));
                continue;
            }
            for node in 0..NODES {
                let seen: &[bool] = match round.phase {
                    Phase::Asking => &[true, false],
                    _ => &[false],
                };
                for &is_seen in seen {
                    if !round.arrived[node] {
                        actions.push(Action::Arrives(number, node, is_seen));
                    } else if state.duplicated < self.duplicates {
                        actions.push(Action::ArrivesAgain(number, node, is_seen));
                    }
                }
                let counts = round.seen[node].is_some() || !self.rules.of_seen;
                if matches!(round.phase, Phase::Writing(_)) && counts && !round.written[node] {
                    actions.push(Action::Writes(number, node));
                }
            }
            if round.phase == Phase::Asking && round.seen.iter().flatten().count() >= MAJORITY {
                actions.push(Action::Decide(number));
            }
        }
        let owned = |node: &usize| state.nodes[*node].grant.is_some();
        actions.extend((0..NODES).filter(owned).map(Action::Ends));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Begin(round) => {
                let confirmed = state.rounds.iter().filter_map(confirmed).max();
                next.rounds[round].phase = Phase::Asking;
                next.rounds[round].floor = confirmed.unwrap_or(0);
            }
            Action::Arrives(round, node, is_seen) => {
                next.rounds[round].arrived[node] = true;
                // Refused is as good as lost.
                if !self.ask(&mut next, round, node, is_seen) {
                    return None;
                }
            }
            Action::ArrivesAgain(round, node, is_seen) => {
                next.duplicated += 1;
                if !self.ask(&mut next, round, node, is_seen) {
                    return None;
                }
            }
            Action::Decide(round) => self.decide(&mut next.rounds[round]),
            Action::Writes(round, node) => self.write(&mut next, round, node),
            Action::Ends(node) => next.nodes[node].grant = None,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<World>> {
        vec![
            Property::always(
                "no two rounds confirm the same number",
                |_, state: &State| {
                    let [one, other] = [0, 1].map(|round| confirmed(&state.rounds[round]));
                    one.is_none() || one != other
                },
            ),
            Property::always(
                "a later round confirms a larger number",
                |_, state: &State| {
                    let grows = |round: &Round| confirmed(round).is_none_or(|it| it > round.floor);
                    state.rounds.iter().all(grows)
                },
            ),
            Property::sometimes("both rounds confirm", |_, state: &State| {
                state.rounds.iter().all(|it| confirmed(it).is_some())
            }),
            Property::sometimes("a number is confirmed in one phase", |_, state: &State| {
                let at_once = |it: &Round| confirmed(it).is_some() && it.written == [false; NODES];
                state.rounds.iter().any(at_once)
            }),
        ]
    }
}

fn confirmed(round: &Round) -> Option<u8> {
    match round.phase {
        Phase::Confirmed(number) => Some(number),
        _ => None,
    }
}

const SAFETY: [&str; 2] = [
    "no two rounds confirm the same number",
    "a later round confirms a larger number",
];

/// Nodes are as good as each other: of states that differ in their order one is enough.
fn in_order(state: &State) -> State {
    let mut order = [0, 1, 2];
    order.sort_by_key(|&node| {
        let of_round = |round: &Round| {
            let (arrived, seen) = (round.arrived[node], round.seen[node]);
            (arrived, seen, round.written[node], round.acknowledged[node])
        };
        (state.nodes[node], state.rounds.each_ref().map(of_round))
    });
    State {
        nodes: order.map(|node| state.nodes[node]),
        rounds: state.rounds.map(|round| Round {
            arrived: order.map(|node| round.arrived[node]),
            seen: order.map(|node| round.seen[node]),
            written: order.map(|node| round.written[node]),
            acknowledged: order.map(|node| round.acknowledged[node]),
            ..round
        }),
        ..*state
    }
}

/// The world in which rounds follow `rules`, with what was before and what is proposed.
fn world(rules: Rules, counters: [u8; NODES], proposals: [u8; ROUNDS]) -> World {
    World {
        rules,
        duplicates: 0,
        proposals,
        counters,
    }
}

#[track_caller]
fn holds(world: World) {
    let checker = world.checker().threads(2).symmetry_fn(in_order);
    let checked = checker.spawn_dfs().join();
    assert!(checked.is_done() && checked.unique_state_count() > 10_000);
    checked.assert_properties();
}

#[track_caller]
fn fails(world: World) {
    let checker = world.checker().symmetry_fn(in_order);
    let unsafe_at_last = HasDiscoveries::AnyOf(BTreeSet::from(SAFETY));
    let checked = checker.finish_when(unsafe_at_last).spawn_dfs().join();
    let found = SAFETY.iter().any(|name| checked.discovery(name).is_some());
    assert!(found, "nothing is wrong with {:?}", world.rules);
}

#[test]
fn the_two_phases_order_all_confirmed_numbers() {
    for (counters, proposals) in [
        ([0, 0, 0], [0, 0]),
        ([2, 0, 0], [0, 0]),
        ([0, 3, 0], [4, 3]),
    ] {
        holds(world(Rules::ALL, counters, proposals));
    }
}

#[test]
fn they_do_so_although_a_request_arrives_twice() {
    holds(World {
        duplicates: 1,
        ..world(Rules::ALL, [0, 0, 0], [0, 0])
    });
}

#[test]
fn without_the_second_phase_a_number_is_given_that_is_too_small() {
    let rules = Rules {
        second_phase: false,
        ..Rules::ALL
    };
    fails(world(rules, [2, 0, 0], [0, 0]));
}

#[test]
fn an_acknowledgement_of_a_node_that_is_not_owned_is_worth_nothing() {
    let rules = Rules {
        by_owner: false,
        same_grant: false,
        ..Rules::ALL
    };
    fails(world(rules, [0, 0, 0], [0, 0]));
}

#[test]
fn an_acknowledgement_of_a_grant_that_was_not_seen_is_worth_nothing() {
    let rules = Rules {
        of_seen: false,
        same_grant: false,
        ..Rules::ALL
    };
    fails(world(rules, [0, 0, 0], [0, 0]));
}

#[test]
fn a_request_that_arrives_twice_needs_the_check_of_the_grant() {
    let rules = Rules {
        same_grant: false,
        ..Rules::ALL
    };
    fails(World {
        duplicates: 1,
        ..world(rules, [0, 0, 0], [0, 0])
    });
}
