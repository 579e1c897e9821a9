use super::*;
use crate::store::redis::Address;
use crate::store::redis::sentinel::tests::sentinels;

fn named(port: u16, epoch: u64) -> Named {
    let host = "h".to_owned();
    let address = Address::Tcp { host, port };
    Named { address, epoch }
}

/// Of this many Sentinels, when this master was found last.
fn follower(count: u16, found: Option<Named>) -> Follower {
    Follower {
        found,
        ..Follower::new(Arc::new(sentinels(count)))
    }
}

#[test]
fn the_largest_epoch_counts_and_names_are_tried_once_in_the_order_they_came() {
    let all = vec![named(1, 4), named(2, 5), named(3, 5), named(2, 5)];
    assert_eq!(follower(5, None).newest(all), [named(2, 5), named(3, 5)]);
}

#[test]
fn a_name_from_before_the_epoch_we_have_seen_counts_only_if_all_say_so() {
    let follower = follower(2, Some(named(2, 5)));
    assert_eq!(follower.newest(vec![named(1, 4)]), []);
    assert_eq!(follower.newest(vec![named(1, 5)]), [named(1, 5)]);
    let anew = vec![named(1, 0), named(1, 0)];
    assert_eq!(follower.newest(anew), [named(1, 0)]);
}
