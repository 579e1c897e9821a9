//! URLs of stores.

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use tasklock::store::redis::TlsFiles;
use tasklock::store::target::Target;

use super::bytes::{Bytes, mutated, random, url_with_password, word};
use super::{fit_to_read, fuzz, without_secret};

const GOOD: &[&str] = &[
    "local:",
    "local:/var/lock/x",
    "redis://user:S3cr3t@127.0.0.1:6379/3",
    "rediss://:S3cr3t@[::1]:6380",
    "unix:///run/redis.sock?db=2&user=u&pass=S3cr3t",
    "redis+sentinel://u:S3cr3t@h1:26379,h2,h3/master/1?sentinel_user=s&sentinel_password=S3cr3t",
    "redis+cluster://u:S3cr3t@h1:7000,[::1]:7001",
    "redis://h#S3cr3t",
];

fn url() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        1 => random(40),
        2 => url_with_password(),
        4 => mutated(word(GOOD)),
        1 => mutated(url_with_password()),
        1 => ("[a-z+]{1,9}:[/@:?#,\\[\\]%a-z0-9]{0,30}").prop_map(Bytes::from),
    ]
}

#[test]
fn a_url_names_a_store_or_is_refused_in_one_line() {
    fuzz("urls", vec(url(), 0..4), |urls| {
        let text = |url: &Bytes| String::from_utf8_lossy(&url.0).into_owned();
        let urls: Vec<String> = urls.iter().map(text).collect();
        match Target::parse(&urls, &TlsFiles::default()) {
            Ok(target) => {
                // Opening sends nothing yet.
                drop(target.open("task_lock:"));
                if target.to_string().chars().any(char::is_control) {
                    return Err(format!("a store that drives a terminal: {target}"));
                }
                Ok(())
            }
            Err(error) => fit_to_read(&error),
        }
    });
}

#[test]
fn what_is_shown_of_a_store_has_no_password() {
    fuzz("shown_urls", url_with_password(), |url| {
        let url = String::from_utf8_lossy(&url.0).into_owned();
        match Target::parse(&[url], &TlsFiles::default()) {
            Ok(target) => without_secret(&target.to_string()),
            Err(error) => fit_to_read(&error),
        }
    });
}
