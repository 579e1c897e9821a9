//! What every store promises, asked of each of them.

use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tasklock::store::Store;
use tasklock::store::redis::TlsFiles;
use tasklock::store::target::Target;

use crate::support::cluster;
use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::sentinel::Watched;
use crate::support::store::{PREFIX, target};

mod cooling;
mod holding;
mod listing;
mod once;
mod remembering;
mod schedules;
mod slots;
mod telling;
mod tokens;
mod unlocking;
mod waiting;

/// Each promise as a test of each store: `local::holding::a_free_lock_is_granted`.
macro_rules! promises_of {
    ($($store:ident)+) => { $(
        mod $store {
            promises! { $store:
                holding {
                    a_free_lock_is_granted
                    a_held_lock_is_refused_to_others_and_its_holder_named
                    the_same_claim_is_granted_again_with_the_same_fence
                    a_refresh_keeps_the_lock_and_its_fence
                    a_lock_that_is_released_goes_to_the_next_with_a_larger_fence
                    a_released_token_is_withdrawn
                    a_token_released_before_it_was_granted_is_withdrawn
                    a_release_can_be_repeated_and_leaves_the_next_holder_alone
                    a_release_by_a_stranger_changes_nothing
                    a_refresh_by_a_stranger_is_lost_and_changes_nothing
                    of_fifty_racing_claims_one_is_granted
                    fences_grow_over_a_hundred_grants
                }
                unlocking {
                    a_holder_that_is_asked_learns_it_from_its_refresh_and_keeps_the_lock
                    the_next_holder_has_not_been_asked
                    a_lock_freed_by_force_is_lost_to_its_holder
                    a_lock_freed_by_force_and_taken_by_another_is_left_alone_by_its_old_holder
                    nobody_is_asked_to_free_a_free_lock
                }
                waiting {
                    a_free_lock_is_granted_in_line_at_once
                    who_comes_first_is_served_first
                    a_release_rings_the_bell_of_the_first
                    asking_silences_the_bell
                    a_waiter_is_told_who_has_the_lock_and_how_many_are_before_it
                    asking_again_keeps_the_place_in_line
                    a_waiter_that_leaves_is_passed_over
                    a_waiter_that_crashed_is_passed_over
                    a_crash_of_the_holder_lets_the_first_in
                    a_lock_freed_by_force_goes_to_the_first
                    a_single_try_does_not_overtake_a_waiter
                    a_single_try_is_told_who_has_the_lock_while_others_wait
                    a_run_that_waited_holds_like_any_other
                    those_who_wait_are_counted
                    twenty_waiters_get_the_lock_one_at_a_time
                }
                slots {
                    places_are_distinct_and_taken_lowest_first
                    the_same_claim_is_granted_the_same_place_again
                    each_place_is_kept_and_released_by_itself
                    fences_grow_for_each_place
                    runs_of_different_counts_use_the_places_below_their_own
                    a_waiter_of_few_places_does_not_block_one_of_many
                    waiters_share_the_places_that_become_free
                    of_fifty_racing_claims_each_place_is_granted_once
                    a_place_of_a_crashed_holder_is_taken_again
                    another_store_can_release_any_place
                    all_places_are_told_of
                    every_holder_is_asked_to_free_its_place
                    every_place_is_freed_by_force
                }
                cooling {
                    a_minimum_hold_outlives_the_release
                    a_minimum_hold_outlives_a_crash
                    a_lock_in_its_minimum_hold_is_held_while_it_is
                    a_minimum_hold_ends_by_itself
                    a_minimum_hold_runs_from_the_grant
                    a_run_that_was_not_started_leaves_no_cooldown
                    nobody_else_ends_a_cooldown
                    force_ends_a_cooldown_and_asking_does_not
                    waiters_are_skipped_by_a_cooldown
                    a_place_that_cools_down_is_passed_over
                    places_that_all_cool_down_tell_the_shortest
                }
                schedules {
                    a_job_runs_once_per_tick_at_any_phase
                    a_job_that_always_fails_runs_twice_per_tick
                    a_run_that_waited_long_does_not_swallow_the_next_tick
                }
                once {
                    a_run_soon_after_a_success_is_not_needed
                    a_run_half_a_period_after_a_success_is_needed
                    a_tick_counts_from_when_its_run_was_asked_for
                    a_run_that_was_asked_for_before_the_success_is_not_needed
                    a_later_success_that_was_asked_for_earlier_takes_nothing_back
                    a_failure_is_no_success
                    runs_without_once_neither_record_nor_are_bound
                    a_success_by_a_stranger_is_not_recorded
                    attempts_are_limited_within_a_tick
                    a_crash_is_an_attempt
                    a_run_that_was_not_started_is_no_attempt
                    a_repeated_acquire_is_one_attempt
                    the_next_tick_has_attempts_of_its_own
                    a_key_is_needed_once
                    a_success_without_key_leaves_the_key_alone
                    a_success_with_a_key_leaves_the_time_alone
                    what_is_done_is_told_while_the_lock_is_held
                    a_waiter_that_is_not_needed_any_more_lets_the_next_in
                }
                remembering {
                    a_lock_that_was_never_held_has_no_past
                    a_run_is_remembered_with_its_holder_its_times_and_its_outcome
                    every_outcome_is_remembered_in_order
                    a_repeated_release_is_one_run
                    a_release_by_a_stranger_is_no_run
                    what_is_withdrawn_is_no_run
                    a_run_that_ended_without_a_word_has_vanished
                    a_run_whose_lock_was_freed_by_force_has_lost_it
                    the_last_runs_are_kept_and_no_more
                    without_history_the_last_run_is_known_all_the_same
                    the_last_success_stays_known_through_failures
                    who_is_refused_is_skipped_once
                    a_cooldown_skips
                    a_waiter_is_skipped_when_its_wait_runs_out
                    what_is_done_already_is_not_skipped
                    those_who_wait_are_told_of_in_order
                    whatever_stands_in_a_name_comes_back
                }
                listing {
                    where_nothing_is_remembered_there_are_no_locks
                    every_lock_is_listed_with_its_status
                    a_pattern_chooses_among_the_names
                    long_and_hostile_names_are_listed_as_they_are
                    a_list_ends_when_it_is_told_to
                }
                tokens {
                    a_hold_outlives_whoever_took_it
                    whoever_has_the_token_checks_extends_and_gives_back
                    a_wrong_token_changes_nothing_and_hears_who_has_the_lock
                    a_free_lock_is_held_by_no_token
                    the_same_token_is_granted_again_with_the_same_fence
                    giving_back_twice_is_giving_back_once
                    a_token_that_was_given_back_is_never_granted_again
                    a_lease_that_has_ended_is_lost_though_nobody_took_the_lock
                    a_lease_that_is_extended_does_not_end
                    a_lock_that_was_taken_over_is_left_alone_by_its_old_token
                    an_administrator_who_asks_is_heard_and_the_lease_not_extended
                    force_frees_it_and_its_token_holds_nothing_any_more
                    places_are_found_by_their_tokens
                    the_lock_of_a_run_is_known_by_its_token_and_can_be_taken_from_it
                    who_waits_gets_it_when_it_is_given_back
                    who_waits_gets_it_when_its_lease_ends
                }
                telling {
                    looking_changes_nothing
                    locks_of_hostile_names_are_independent
                    the_details_of_a_holder_come_back_exactly
                    a_holder_without_details_is_a_holder
                }
            }
        }
    )+ };
}

macro_rules! promises {
    ($store:ident: $($topic:ident { $($promise:ident)+ })+) => { $(
        mod $topic {
            use crate::store_contract::{$store, $topic};
            $(
                #[test]
                fn $promise() {
                    $topic::$promise(&$store());
                }
            )+
        }
    )+ };
}

promises_of! { local redis_by_socket redis_by_tcp redis_cluster sentinel quorum }

/// Where a store's locks are, for as long as the test runs.
struct Place {
    target: Target,
    key_prefix: String,
    _alive: Box<dyn Any>,
}

impl Place {
    fn new(url: &str, alive: impl Any) -> Place {
        Place {
            target: target(url, &TlsFiles::default()),
            key_prefix: PREFIX.to_owned(),
            _alive: Box::new(alive),
        }
    }

    /// The same, apart from every other place on the same servers.
    fn apart(self) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Place {
            key_prefix: format!("{PREFIX}{number}:"),
            ..self
        }
    }

    /// One more user of it.
    fn open(&self) -> Box<dyn Store> {
        self.target.open(&self.key_prefix)
    }

    fn open_two(&self) -> (Box<dyn Store>, Box<dyn Store>) {
        (self.open(), self.open())
    }
}

fn local() -> Place {
    let directory = Scratch::new();
    Place::new(&format!("local:{}", directory.path().display()), directory)
}

fn redis_by_socket() -> Place {
    let server = Server::start();
    Place::new(&server.unix_url(), server)
}

fn quorum() -> Place {
    let servers = [Server::start(), Server::start(), Server::start()];
    let urls = servers.each_ref().map(Server::url).join(" ");
    Place::new(&urls, servers)
}

fn redis_by_tcp() -> Place {
    let server = Server::start();
    Place::new(&server.url(), server)
}

/// Started once, for it takes seconds.
fn redis_cluster() -> Place {
    Place::new(&cluster::shared().url(), ()).apart()
}

/// Six processes: started once for all promises that are looked at about the same time.
fn sentinel() -> Place {
    static SHARED: Mutex<Weak<Watched>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let watched = shared.upgrade().unwrap_or_else(|| {
        let watched = Arc::new(Watched::start());
        *shared = Arc::downgrade(&watched);
        watched
    });
    Place::new(&watched.url(), watched).apart()
}
