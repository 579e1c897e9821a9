//! The hash slot of a key, <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model>.

/// How many slots a Cluster has.
pub(super) const COUNT: u16 = 16384;

/// The slot of `key`: of its hash tag, the first `{…}` that is not empty, or else of all of it.
pub(super) fn of(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(key).as_bytes()) % COUNT
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, starting from 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn slots_are_those_that_a_server_computes() {
        // From CLUSTER KEYSLOT of Redis 7.0.
        for (key, slot) in [
            ("foo", 12182),
            ("somekey", 11058),
            ("foo{hash_tag}", 2515),
            ("bar{hash_tag}", 2515),
            ("task_lock:job", 15747),
        ] {
            assert_eq!(of(key), slot, "{key}");
        }
    }

    #[test]
    fn the_tag_is_what_the_first_braces_hold() {
        // The examples of the specification.
        assert_eq!(of("{user1000}.following"), of("user1000"));
        assert_eq!(of("foo{{bar}}zap"), of("{bar"));
        assert_eq!(of("foo{bar}{zap}"), of("bar"));
        assert_eq!(of("foo{}{bar}"), crc16(b"foo{}{bar}") % COUNT);
        assert_eq!(of("foo{bar"), crc16(b"foo{bar") % COUNT);
    }

    #[test]
    fn both_keys_of_a_lock_have_one_slot() {
        for name in ["job", "nightly backup", "größe", "a:b:c"] {
            let key = format!("task_lock:{name}");
            assert_eq!(of(&format!("{{{key}}}:st")), of(&key), "{name}");
        }
    }
}
