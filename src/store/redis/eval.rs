//! A script with the keys and words that it is run on, as it goes over the wire.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::store::hex;

/// One step of a lock.
pub(super) struct Eval<'a> {
    pub(super) text: &'a str,
    /// The lock's plain key; that of its state follows from it.
    pub(super) key: &'a str,
    /// The mark of a node of a quorum, which no Cluster can be.
    pub(super) mark: Option<&'a str>,
    pub(super) args: &'a [&'a str],
}

impl Eval<'_> {
    /// The key of the state, in the same Cluster slot.
    pub(super) fn state(&self) -> String {
        format!("{{{}}}:st", self.key)
    }

    /// The command for one server.
    pub(super) fn packed(&self) -> Vec<u8> {
        let state = self.state();
        let keys: Vec<&str> = [self.key, &state].into_iter().chain(self.mark).collect();
        command(self.text, &keys, self.args)
    }

    /// The same for a server that has run the script, which goes by its hash.
    pub(super) fn packed_by_hash(&self, hash: &str) -> Vec<u8> {
        let state = self.state();
        let keys: Vec<&str> = [self.key, &state].into_iter().chain(self.mark).collect();
        let mut eval = redis::cmd("EVALSHA");
        eval.arg(hash).arg(keys.len()).arg(&keys).arg(self.args);
        eval.get_packed_command()
    }
}

/// What a server knows `text` by once it has run it.
pub(super) fn hash(text: &str) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// EVAL of `text`.
pub(super) fn command(text: &str, keys: &[&str], args: &[&str]) -> Vec<u8> {
    let mut eval = redis::cmd("EVAL");
    eval.arg(text).arg(keys.len()).arg(keys).arg(args);
    eval.get_packed_command()
}
