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

mod holding;
mod telling;
mod unlocking;

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

promises_of! { local redis_by_socket redis_by_tcp redis_cluster sentinel }

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
