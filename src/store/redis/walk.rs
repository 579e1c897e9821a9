//! How far a walk over the keys of one server has come. Pure.
//!
//! Promises: it ends, whatever the server says. `SCAN` never gives an honest walk a cursor
//! twice, and there is no more than so much to walk over.

use std::ops::ControlFlow;

/// How many keys a server looks at for one page: some 100 µs of its time.
pub(super) const KEYS_PER_PAGE: u64 = 1000;
/// Redis holds up to 2^32 keys (its FAQ).
const PAGES_MAX: u64 = (1 << 32) / KEYS_PER_PAGE + 1;

/// A walk from its beginning.
pub(super) struct Walk {
    cursor: String,
    /// A cursor that was met on the way, after ever more pages: whoever walks in a circle meets
    /// it again (Brent's algorithm).
    mark: String,
    pages: u64,
}

/// The server leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Astray {
    Circle,
    Endless,
}

impl Walk {
    pub(super) fn new() -> Walk {
        Walk {
            cursor: "0".to_owned(),
            mark: String::new(),
            pages: 0,
        }
    }

    /// Of the page to be asked for.
    pub(super) fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Goes on to the page at `cursor`, which the server named; breaks off if that is the end.
    pub(super) fn go_on(&mut self, cursor: String) -> Result<ControlFlow<()>, Astray> {
        if cursor == "0" {
            return Ok(ControlFlow::Break(()));
        }
        if cursor == self.mark {
            return Err(Astray::Circle);
        }
        self.pages += 1;
        if self.pages >= PAGES_MAX {
            return Err(Astray::Endless);
        }
        if self.pages.is_power_of_two() {
            self.mark.clone_from(&cursor);
        }
        self.cursor = cursor;
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many pages a walk ends, and how.
    fn walked(mut next: impl FnMut(u64) -> u64) -> (u64, Result<ControlFlow<()>, Astray>) {
        let mut walk = Walk::new();
        let mut page = 0;
        loop {
            match walk.go_on(next(page).to_string()) {
                Ok(ControlFlow::Continue(())) => page += 1,
                end => return (page + 1, end),
            }
        }
    }

    #[test]
    fn a_walk_goes_on_to_the_end() {
        let over = Ok(ControlFlow::Break(()));
        assert_eq!(walked(|_| 0), (1, over));
        let (pages, end) = walked(|page| 5000 - page);
        assert_eq!((pages, end), (5001, Ok(ControlFlow::Break(()))));
    }

    #[test]
    fn a_circle_is_noticed_before_it_was_walked_three_times() {
        for (straight, round) in [(0, 1), (0, 2), (1, 3), (10, 7), (100, 1000), (3, 4096)] {
            let (pages, end) = walked(|page| {
                let on_round = page.saturating_sub(straight) % round;
                1 + page.min(straight) + on_round
            });
            assert_eq!(end, Err(Astray::Circle), "{straight} {round}");
            assert!(pages <= 3 * (straight + round) + 1, "{pages} pages");
        }
    }

    #[test]
    fn what_goes_on_for_longer_than_any_server_has_keys_is_given_up() {
        let (pages, end) = walked(|page| page + 1);
        assert_eq!((pages, end), (PAGES_MAX, Err(Astray::Endless)));
        assert_eq!(PAGES_MAX, 4_294_968);
    }
}
