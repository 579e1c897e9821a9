//! What a lock protects: a place that one job at a time may be in, and a counter in it that
//! refuses holders of the past by their fence.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// One place of one lock, as its job sees it.
#[derive(Debug)]
pub(crate) struct Resource {
    place: File,
    slot: u32,
    register: File,
}

/// The largest fence and the value that the register knows, in digits of fixed number: 20 each
/// hold any u64, so that a write replaces the whole.
const DIGITS: usize = 20;

impl Resource {
    /// The place `slot` of the lock `name`.
    pub(crate) fn open(directory: &Path, name: &str, slot: u32) -> Resource {
        let open = |file: String| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(directory.join(file)).unwrap()
        };
        Resource {
            place: open(format!("{name}.places")),
            slot,
            register: open(format!("{name}.{slot}.register")),
        }
    }

    /// Is in the place from now until this process is dead, by the kernel's account: a record
    /// lock (fcntl(2)) ends when the kernel closes the files of a dying process, which is before
    /// its parent can wait for it. None: alone. Some: the one that was there before us lives
    /// on; its pid, or 0 if it left while it was asked for.
    pub(crate) fn occupy(&self) -> Option<i32> {
        let mut lock = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).unwrap(),
            l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
            l_start: self.slot.into(),
            l_len: 1,
            l_pid: 0,
        };
        match fcntl(&self.place, FcntlArg::F_SETLK(&lock)) {
            Ok(_) => None,
            Err(Errno::EAGAIN | Errno::EACCES) => {
                fcntl(&self.place, FcntlArg::F_GETLK(&mut lock)).unwrap();
                let gone = lock.l_type == i16::try_from(libc::F_UNLCK).unwrap();
                Some(if gone { 0 } else { lock.l_pid })
            }
            Err(error) => panic!("cannot lock the place: {error}"),
        }
    }

    /// The counter, for one step.
    pub(crate) fn register(&self) -> Register<'_> {
        self.register.lock().unwrap();
        let mut text = [0; 2 * DIGITS];
        let (largest, value) = match self.register.read_exact_at(&mut text, 0) {
            Ok(()) => {
                let number = |digits| std::str::from_utf8(digits).unwrap().parse().unwrap();
                (number(&text[..DIGITS]), number(&text[DIGITS..]))
            }
            Err(_) => (0, 0),
        };
        Register {
            file: &self.register,
            largest,
            value,
        }
    }
}

/// The counter. A job reads it at its start and writes one more at its end: two jobs that did so
/// at the same time would write the same number, and one update were lost.
#[derive(Debug)]
pub(crate) struct Register<'a> {
    file: &'a File,
    largest: u64,
    value: u64,
}

impl Register<'_> {
    /// The value, for a holder that may write later. None: refused.
    pub(crate) fn read(mut self, fence: u64) -> Option<u64> {
        if fence < self.largest {
            return None;
        }
        self.largest = fence;
        self.store();
        Some(self.value)
    }

    /// Writes, if no later holder has been here. False: refused.
    pub(crate) fn write(mut self, fence: u64, value: u64) -> bool {
        let accepted = fence == self.largest;
        if accepted {
            self.value = value;
            self.store();
        }
        accepted
    }

    fn store(&self) {
        let text = format!("{:0DIGITS$}{:0DIGITS$}", self.largest, self.value);
        self.file.write_all_at(text.as_bytes(), 0).unwrap();
    }
}

impl Drop for Register<'_> {
    fn drop(&mut self) {
        self.file.unlock().unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;
    use crate::support::scratch::Scratch;

    #[test]
    fn the_register_refuses_who_comes_with_an_older_fence_or_was_overtaken() {
        let scratch = Scratch::new();
        let resource = Resource::open(scratch.path(), "a", 0);
        assert_eq!(resource.register().read(5), Some(0));
        assert_eq!(resource.register().read(7), Some(0));
        assert_eq!(resource.register().read(6), None);
        assert!(!resource.register().write(5, 1));
        assert!(resource.register().write(7, 1));
        assert_eq!(resource.register().read(7), Some(1));
    }
}
