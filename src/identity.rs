//! Who we are, for people: `root@web3`.

use std::fs;
use std::path::PathBuf;

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

/// The home directory: `HOME`, or without it what the system knows of the user.
#[must_use]
pub fn home() -> Option<PathBuf> {
    let variable = std::env::var_os("HOME").map(PathBuf::from);
    let home = variable.filter(|home| home.is_absolute()).or_else(|| {
        let uid = geteuid();
        fs::read_to_string("/etc/passwd")
            .ok()
            .and_then(|passwd| home_of(&passwd, uid.as_raw()).map(PathBuf::from))
            .or_else(|| Some(User::from_uid(uid).ok()??.dir))
    });
    home.filter(|home| home.is_absolute())
}

/// The first name with this number in the text of a passwd(5) file.
fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    field_of(passwd, uid, 0)
}

/// The home directory in the first line with this number.
fn home_of(passwd: &str, uid: u32) -> Option<&str> {
    field_of(passwd, uid, 5)
}

fn field_of(passwd: &str, uid: u32, number: usize) -> Option<&str> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (*fields.get(2)? == uid).then(|| fields.get(number).copied())?
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
        assert_eq!(home_of(passwd, 0), Some("/root"));
        assert_eq!(home_of(passwd, 1000), Some("/"));
        assert_eq!(home_of(passwd, 100), None);
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
