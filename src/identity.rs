//! Who we are, for people: `root@web3`.

use std::fs;

use nix::unistd::{User, geteuid, gethostname};

/// `user@host` of this process.
#[must_use]
pub fn user_at_host() -> String {
    let host = gethostname().unwrap_or_default();
    format!("{}@{}", user(), host.to_string_lossy())
}

/// The name of the effective user, or its number where it has none.
fn user() -> String {
    let uid = geteuid();
    // Nearly every user stands in this file, and asking the system's name
    // service takes longer than taking the lock.
    fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|passwd| name_of(&passwd, uid.as_raw()).map(str::to_owned))
        .or_else(|| Some(User::from_uid(uid).ok()??.name))
        .unwrap_or_else(|| uid.to_string())
}

/// The first name with this number in the text of a passwd(5) file.
fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\n# note\nsvc:x:1000:1000::/:/bin/false\n";
        assert_eq!(name_of(passwd, 0), Some("root"));
        assert_eq!(name_of(passwd, 1000), Some("svc"));
        assert_eq!(name_of(passwd, 100), None);
    }

    #[test]
    fn we_have_a_name_and_a_host() {
        let (user, host) = user_at_host()
            .split_once('@')
            .map(|(u, h)| (u.len(), h.len()))
            .unwrap();
        assert!(user > 0 && host > 0);
    }
}
