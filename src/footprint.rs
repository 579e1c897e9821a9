//! What a command leaves behind as it starts: by that it is known when tasklock is gone.
//!
//! A lock that ends with our process ends too soon: the kernel frees it some
//! milliseconds before it tells the command to die, and does not tell one that has
//! changed its user. Whoever is next must find out whether the command is dead, and a
//! pid alone is soon another's.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::store::Fence;

/// The longest line, in bytes: 44 between the numbers, of which three have up to 20
/// digits and one 10.
const LINE_MAX_BYTES: usize = 128;

/// What /proc counts the time since boot in, in ms: USER_HZ is 100 wherever Rust runs on Linux.
const TICK_MS: u64 = 10;

/// A process, told from all others of the same boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// The grant under which it was started: what an earlier one left says nothing.
    pub fence: Fence,
    /// The namespace in which the pid counts, by its inode.
    pid_ns: u64,
    /// 0 until it is left.
    pid: u32,
    /// Milliseconds since boot, when it was left: whoever gets the same pid started later.
    boot_ms: u64,
}

impl Footprint {
    /// That of a command still to be started under `fence`. None: /proc does not tell
    /// where its pid will count.
    #[must_use]
    pub fn to_be_left(fence: Fence) -> Option<Footprint> {
        Some(Footprint {
            fence,
            pid_ns: inode("/proc/self/ns/pid_for_children")?,
            pid: 0,
            boot_ms: 0,
        })
    }

    /// Whether that process lives still. A zombie does not. No as well where we cannot
    /// know: its pid counts in another namespace, or /proc shows another or no process.
    #[must_use]
    pub fn is_of_the_living(&self) -> bool {
        let ours = inode("/proc/self/ns/pid") == Some(self.pid_ns)
            && fs::read_link("/proc/self")
                .is_ok_and(|it| it == Path::new(&process::id().to_string()));
        ours && fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .is_ok_and(|stat| self.lives_by(&stat).unwrap_or(false))
    }

    /// The same by /proc/PID/stat.
    fn lives_by(&self, stat: &str) -> Option<bool> {
        // Field 2 is a name in parentheses, which may hold blanks and parentheses.
        let (_, rest) = stat.rsplit_once(") ")?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3);
        let threads: u64 = field(20)?.parse().ok()?;
        let start_ticks: u64 = field(22)?.parse().ok()?;
        // The first thread may be dead while others run.
        let is_dead = matches!(field(3)?, "Z" | "X") && threads <= 1;
        Some(!is_dead && start_ticks.saturating_mul(TICK_MS) <= self.boot_ms)
    }

    /// Writes it to `file` at `offset`, as a line of JSON in one call. Nothing is allocated
    /// and no lock taken: a child may do this that still borrows our memory.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn write(&self, file: &File, offset: u64) -> std::io::Result<()> {
        let Footprint {
            fence,
            pid_ns,
            pid,
            boot_ms,
        } = self;
        let mut bytes = [0; LINE_MAX_BYTES];
        let mut rest = &mut bytes[..];
        writeln!(
            rest,
            r#"{{"fence":{fence},"pid_ns":{pid_ns},"pid":{pid},"boot_ms":{boot_ms}}}"#
        )?;
        let count = LINE_MAX_BYTES - rest.len();
        file.write_all_at(&bytes[..count], offset)
    }
}

/// The inode of what a link in /proc leads to.
fn inode(link: &str) -> Option<u64> {
    fs::metadata(link).ok().map(|it| it.ino())
}

/// Where a command leaves its footprint.
#[derive(Debug)]
pub struct Track<'a> {
    pub(crate) file: &'a File,
    pub(crate) offset: u64,
    pub(crate) footprint: &'a mut Footprint,
}

impl Track<'_> {
    /// Leaves the footprint of this process, which is about to execute the command.
    pub(crate) fn tread(&mut self) {
        self.footprint.pid = process::id();
        let boot_ms = clock::now().since_boot().as_millis();
        self.footprint.boot_ms = u64::try_from(boot_ms).unwrap_or(u64::MAX);
        // The disk is full: then the command is not waited for, but it runs.
        let _ = self.footprint.write(self.file, self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The footprint of this very process.
    fn ours() -> Footprint {
        let mut footprint = Footprint::to_be_left(Fence(7)).unwrap();
        let file = File::open("/dev/null").unwrap();
        let mut track = Track {
            file: &file,
            offset: 0,
            footprint: &mut footprint,
        };
        track.tread();
        footprint
    }

    #[test]
    fn a_process_is_known_by_its_footprint_and_no_other_is_taken_for_it() {
        let ours = ours();
        assert!(ours.is_of_the_living());
        let others = [
            Footprint { pid: 0, ..ours },
            Footprint { pid_ns: 1, ..ours },
            // It has been given the same pid later.
            Footprint { boot_ms: 0, ..ours },
        ];
        for other in others {
            assert!(!other.is_of_the_living(), "{other:?}");
        }
    }

    #[test]
    fn a_process_is_dead_when_its_last_thread_is() {
        let ours = Footprint {
            boot_ms: 500,
            ..ours()
        };
        let stat = |state: &str, threads: u32, start: u32| {
            format!("7 (a) b) {state} 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 {start} 0 0\n")
        };
        for (state, threads, start, lives) in [
            ("S", 1, 50, true),
            ("T", 1, 50, true),
            ("D", 3, 50, true),
            ("Z", 2, 50, true),
            ("Z", 1, 50, false),
            ("X", 0, 50, false),
            ("R", 1, 51, false),
        ] {
            let stat = stat(state, threads, start);
            assert_eq!(ours.lives_by(&stat), Some(lives), "{stat}");
        }
        assert_eq!(ours.lives_by("7 (a) S 1"), None);
    }

    #[test]
    fn the_longest_line_fits_and_reads_back() {
        let path = std::env::temp_dir().join(format!("tasklock-footprint-{}", process::id()));
        let longest = Footprint {
            fence: Fence(u64::MAX),
            pid_ns: u64::MAX,
            pid: u32::MAX,
            boot_ms: u64::MAX,
        };
        let file = File::create(&path).unwrap();
        let written = longest.write(&file, 5);
        let text = fs::read(&path);
        fs::remove_file(&path).unwrap();
        written.unwrap();
        let read: Footprint = serde_json::from_slice(&text.unwrap()[5..]).unwrap();
        assert_eq!(read, longest);
    }
}
