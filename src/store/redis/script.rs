//! The scripts, one for each step, put together when the program is compiled.
//!
//! Left out is what only people read: a server hashes the whole text each time
//! that it comes (3 µs for each KiB). Lines stay, so that the line number in an
//! error of the server's is that of the files, one after the other.

/// A step, with what it builds on before it.
macro_rules! script {
    ($($file:literal)+) => {{
        const WHOLE: &str = concat!($(include_str!($file)),+);
        const LEAN: &([u8; WHOLE.len()], usize) = &lean(WHOLE);
        match str::from_utf8(LEAN.0.split_at(LEAN.1).0) {
            Ok(text) => text,
            Err(_) => panic!("only whole comments are left out"),
        }
    }};
}

pub(super) const ACQUIRE: &str = script!("state.lua" "line.lua" "runs.lua" "acquire.lua");
pub(super) const REFRESH: &str = script!("state.lua" "refresh.lua");
pub(super) const RELEASE: &str = script!("state.lua" "line.lua" "runs.lua" "release.lua");
pub(super) const CHECK: &str = script!("state.lua" "token.lua" "check.lua");
pub(super) const EXTEND: &str = script!("state.lua" "token.lua" "extend.lua" "refresh.lua");
pub(super) const GIVE_BACK: &str =
    script!("state.lua" "token.lua" "line.lua" "runs.lua" "give_back.lua" "release.lua");
pub(super) const INSPECT: &str = script!("state.lua" "line.lua" "runs.lua" "inspect.lua");
pub(super) const HISTORY: &str = script!("state.lua" "line.lua" "runs.lua" "history.lua");
pub(super) const UNLOCK: &str = script!("state.lua" "line.lua" "runs.lua" "unlock.lua");

/// The same of a node of a quorum.
pub(super) const QUORUM_ACQUIRE: &str =
    script!("state.lua" "quorum.lua" "quorum_acquire.lua" "line.lua" "runs.lua" "acquire.lua");
pub(super) const QUORUM_CONFIRM: &str = script!("state.lua" "quorum.lua" "quorum_confirm.lua");
pub(super) const QUORUM_REFRESH: &str =
    script!("state.lua" "quorum.lua" "quorum_refresh.lua" "refresh.lua");
pub(super) const QUORUM_UNDO: &str =
    script!("state.lua" "quorum.lua" "quorum_undo.lua" "line.lua" "runs.lua" "release.lua");
pub(super) const QUORUM_MARK: &str = script!("state.lua" "quorum.lua" "quorum_mark.lua");

/// `text` without comments and indentation, and how many bytes are left of it.
/// No string of the scripts has two dashes in it.
const fn lean<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let (mut kept, mut length) = ([0; N], 0);
    let (mut at, mut indent, mut comment) = (0, true, false);
    while at < text.len() {
        let byte = text[at];
        comment = byte != b'\n' && (comment || is_comment(text, at));
        indent = byte == b'\n' || indent && byte == b' ';
        if byte == b'\n' || !comment && !indent {
            kept[length] = byte;
            length += 1;
        }
        at += 1;
    }
    (kept, length)
}

const fn is_comment(text: &[u8], at: usize) -> bool {
    text[at] == b'-' && at + 1 < text.len() && text[at + 1] == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indentation_are_left_out_and_lines_stay() {
        let text = "-- ö\nlocal a = 1 -- one\n\n  if a - 1 then\n\n    -- b\n  end\n";
        let (kept, length) = lean::<100>(text);
        let left = str::from_utf8(&kept[..length]).unwrap();
        assert_eq!(left, "\nlocal a = 1 \n\nif a - 1 then\n\n\nend\n");
    }

    #[test]
    fn no_script_has_a_comment_left() {
        for script in [
            ACQUIRE,
            REFRESH,
            RELEASE,
            CHECK,
            EXTEND,
            GIVE_BACK,
            INSPECT,
            HISTORY,
            UNLOCK,
            QUORUM_ACQUIRE,
            QUORUM_CONFIRM,
            QUORUM_REFRESH,
            QUORUM_UNDO,
            QUORUM_MARK,
        ] {
            assert!(script.contains("\nreturn {") && !script.contains("--"));
        }
    }
}
