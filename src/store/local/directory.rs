//! The directory that lock files stand in, and the only way to open one.
//!
//! Everything goes through a descriptor of the directory, by names without a
//! slash, and nothing but a regular file with a single name is ever opened for
//! use. Whatever somebody plants in a shared directory, or calls a lock, nothing
//! outside the directory changes. It does not protect users of a shared
//! directory from each other: who may write there may also hold, delete or
//! replace every lock in it (as far as the sticky bit lets them).

use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, geteuid, mkdir, unlinkat};

use crate::store::{StoreError, StoreErrorKind, random_hex};

/// Lock files of one user.
const PRIVATE_FILE_MODE: u32 = 0o600;

/// Lock files of everybody who may write to the directory.
const SHARED_FILE_MODE: u32 = 0o666;

/// A file that another user has just created is closed to us until its mode is
/// set, one system call later: how often to look again, and after how long. The
/// 20 ms in all cover a creator that lost the processor in between.
const NEWBORN_LOOKS: u32 = 20;
const NEWBORN_PAUSE: Duration = Duration::from_millis(1);

/// Which directory, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This user's own: made when needed, and trusted only if nobody else can write to it.
    Private(PathBuf),
    /// Chosen by the user: must exist, and belongs to whoever may write to it.
    Shared(PathBuf),
}

impl Place {
    /// Where this user's locks live when no directory was chosen.
    ///
    /// `/run/lock/tasklock-UID` if this user may create it, else `/tmp/tasklock-UID`:
    /// some systems have no `/run/lock`, in others (Fedora, RHEL and their
    /// containers) it is root's alone. All processes of a user must agree, so
    /// this is decided by owner and mode of `/run/lock` (or because the
    /// administrator made the directory), never by trying: groups, capabilities
    /// and read-only mounts differ from one process of a user to the next.
    pub(super) fn of_this_user() -> Place {
        let file_name = format!("tasklock-{}", geteuid());
        Place::Private(own_directory(
            Path::new("/run/lock"),
            Path::new("/tmp"),
            (&file_name, geteuid().as_raw()),
        ))
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Place::Private(path) | Place::Shared(path) => path,
        }
    }
}

/// `preferred` if the user `uid` may create `file_name` in it, else `fallback`.
fn own_directory(preferred: &Path, fallback: &Path, (file_name, uid): (&str, u32)) -> PathBuf {
    /// Creating a file in a directory takes the rights to write and to search.
    const OTHERS: u32 = 0o003;
    let own = preferred.join(file_name);
    let usable = preferred.metadata().is_ok_and(|parent| {
        parent.is_dir() && (uid == 0 || parent.uid() == uid || parent.mode() & OTHERS == OTHERS)
    });
    if usable || own.symlink_metadata().is_ok() {
        own
    } else {
        fallback.join(file_name)
    }
}

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Look,
    Change,
}

/// What stands under the name of a file that was opened earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Same,
    Other,
    Absent,
}

/// An open directory of lock files. Opened for each request, so that a directory
/// that was removed and made again is noticed.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    file_mode: u32,
}

impl Directory {
    /// Opens `place`, made if it is this user's own and missing.
    pub(super) fn open(place: &Place) -> Result<Directory, StoreError> {
        if let Place::Private(path) = place {
            match mkdir(path, Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => {
                    return Err(StoreError::new(
                        kind(errno),
                        format!(
                            "cannot create the lock directory {}: {} (choose another with --url local:/dir)",
                            path.display(),
                            reason(errno)
                        ),
                    ));
                }
            }
        }
        Directory::find(place)?.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Unavailable,
                format!(
                    "the lock directory {} was removed meanwhile",
                    place.path().display()
                ),
            )
        })
    }

    /// Opens `place`. None: this user has no directory yet, hence no locks.
    pub(super) fn find(place: &Place) -> Result<Option<Directory>, StoreError> {
        let path = place.path();
        // A directory of the user's choice may be reached through a link, as /var/lock is.
        let (nofollow, file_mode) = match place {
            Place::Private(_) => (OFlag::O_NOFOLLOW, PRIVATE_FILE_MODE),
            Place::Shared(_) => (OFlag::empty(), SHARED_FILE_MODE),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | nofollow;
        let fd = match openat(AT_FDCWD, path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) if matches!(place, Place::Private(_)) => return Ok(None),
            Err(errno) => return Err(cannot_use(path, errno)),
        };
        let file = File::from(fd);
        if let Place::Private(_) = place {
            let metadata = file
                .metadata()
                .map_err(|error| cannot_use(path, errno_of(&error)))?;
            check_private(path, &metadata, geteuid().as_raw())?;
        }
        Ok(Some(Directory {
            fd: file.into(),
            path: path.to_owned(),
            file_mode,
        }))
    }

    /// The path of a file, for messages.
    pub(super) fn path_of(&self, file_name: &str) -> PathBuf {
        self.path.join(file_name)
    }

    /// Opens a file that exists. None: there is none.
    pub(super) fn open_file(
        &self,
        file_name: &str,
        access: Access,
    ) -> Result<Option<File>, StoreError> {
        let mode = match access {
            Access::Look => OFlag::O_RDONLY,
            Access::Change => OFlag::O_RDWR,
        };
        // O_NONBLOCK: opening a planted FIFO must not wait for its other end.
        // No O_CREAT: in a sticky directory the kernel refuses that on a file of
        // somebody else (fs.protected_regular).
        let flags =
            mode | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let mut looks = 0;
        let file = loop {
            match openat(&self.fd, file_name, flags, Mode::empty()) {
                Ok(fd) => break File::from(fd),
                Err(Errno::ENOENT) => return Ok(None),
                Err(Errno::EACCES) if looks < NEWBORN_LOOKS && self.is_newborn(file_name) => {
                    looks += 1;
                    thread::sleep(NEWBORN_PAUSE);
                }
                Err(Errno::ELOOP) => return Err(self.untrusted(file_name, "is a symbolic link")),
                Err(Errno::EISDIR | Errno::ENXIO | Errno::ENODEV) => {
                    return Err(self.untrusted(file_name, "is not a regular file"));
                }
                Err(errno) => return Err(self.failure("open", file_name, errno)),
            }
        };
        let metadata = file
            .metadata()
            .map_err(|e| self.failure("examine", file_name, errno_of(&e)))?;
        if !metadata.is_file() {
            return Err(self.untrusted(file_name, "is not a regular file"));
        }
        match metadata.nlink() {
            // Deleted since it was opened.
            0 => Ok(None),
            1 => Ok(Some(file)),
            _ => Err(self.untrusted(file_name, "has more than one name (hard links)")),
        }
    }

    /// Creates a file, empty and with the mode of this directory's files
    /// whatever the umask. None: the name is taken.
    pub(super) fn create_file(&self, file_name: &str) -> Result<Option<File>, StoreError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = match openat(&self.fd, file_name, flags, mode) {
            Ok(fd) => File::from(fd),
            Err(Errno::EEXIST) => return Ok(None),
            Err(errno) => return Err(self.failure("create", file_name, errno)),
        };
        file.set_permissions(Permissions::from_mode(self.file_mode))
            .map_err(|e| self.failure("open to others", file_name, errno_of(&e)))?;
        Ok(Some(file))
    }

    /// Opens a file to change it, created if it is missing.
    pub(super) fn open_or_create(&self, file_name: &str) -> Result<File, StoreError> {
        /// Each round needs somebody who creates or deletes the file just then.
        const ROUNDS: u32 = 100;
        for _ in 0..ROUNDS {
            if let Some(file) = self.open_file(file_name, Access::Change)? {
                return Ok(file);
            }
            if let Some(file) = self.create_file(file_name)? {
                return Ok(file);
            }
        }
        Err(self.failure("open", file_name, Errno::EAGAIN))
    }

    /// Creates a file under a name that nobody uses, to be renamed when it is complete.
    pub(super) fn create_temporary(&self) -> Result<(String, File), StoreError> {
        let digits = random_hex::<8>().map_err(|error| {
            StoreError::new(
                StoreErrorKind::Unavailable,
                format!("no random bytes: {error}"),
            )
        })?;
        // No lock file begins with a dot.
        let file_name = format!(".tmp-{digits}");
        match self.create_file(&file_name)? {
            Some(file) => Ok((file_name, file)),
            None => Err(self.failure("create", &file_name, Errno::EEXIST)),
        }
    }

    /// Puts `file_name` in the place of `target`, in one step.
    pub(super) fn rename(&self, file_name: &str, target: &str) -> Result<(), StoreError> {
        renameat(&self.fd, file_name, &self.fd, target)
            .map_err(|errno| self.failure("replace", target, errno))
    }

    /// Removes a file if that is possible.
    pub(super) fn remove(&self, file_name: &str) {
        // Only leftovers are removed, and each is without effect if it stays.
        let _ = unlinkat(&self.fd, file_name, UnlinkatFlags::NoRemoveDir);
    }

    /// Whether `file` is still what stands under `file_name`.
    pub(super) fn entry(&self, file: &File, file_name: &str) -> Result<Entry, StoreError> {
        let failure = |errno| self.failure("examine", file_name, errno);
        let Some(current) = self.metadata(file_name).map_err(failure)? else {
            return Ok(Entry::Absent);
        };
        let ours = file.metadata().map_err(|error| failure(errno_of(&error)))?;
        let same = (ours.dev(), ours.ino()) == (current.dev(), current.ino());
        Ok(if same { Entry::Same } else { Entry::Other })
    }

    /// The names of all files. By the path: whoever puts another directory in the
    /// place of this one at this moment gets names that lead to nothing here.
    pub(super) fn file_names(&self) -> Result<Vec<String>, StoreError> {
        let failure = |error| cannot_use(&self.path, errno_of(&error));
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failure)? {
            // Ours are ASCII.
            names.extend(entry.map_err(failure)?.file_name().into_string().ok());
        }
        Ok(names)
    }

    /// An error about one file, by what the kernel said.
    pub(super) fn failure(&self, attempt: &str, file_name: &str, errno: Errno) -> StoreError {
        StoreError::new(
            kind(errno),
            format!(
                "cannot {attempt} {}: {}",
                self.path_of(file_name).display(),
                reason(errno)
            ),
        )
    }

    /// What stands under `file_name`, not followed. None: nothing.
    fn metadata(&self, file_name: &str) -> Result<Option<Metadata>, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(&self.fd, file_name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd)
                .metadata()
                .map(Some)
                .map_err(|error| errno_of(&error)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A file that may still get its mode: shared, regular, and nothing written yet.
    fn is_newborn(&self, file_name: &str) -> bool {
        self.file_mode == SHARED_FILE_MODE
            && self
                .metadata(file_name)
                .is_ok_and(|found| found.is_some_and(|file| file.is_file() && file.len() == 0))
    }

    fn untrusted(&self, file_name: &str, what: &str) -> StoreError {
        StoreError::new(
            StoreErrorKind::Misconfigured,
            format!(
                "cannot use {} as a lock file: it {what}; remove it",
                self.path_of(file_name).display()
            ),
        )
    }
}

/// Whether this user alone rules the directory.
fn check_private(path: &Path, directory: &Metadata, uid: u32) -> Result<(), StoreError> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let fault = if directory.uid() != uid {
        format!("it belongs to user {}, not to user {uid}", directory.uid())
    } else if directory.mode() & WRITABLE_BY_OTHERS != 0 {
        format!(
            "others may write to it (mode {:04o}, expected 0700)",
            directory.mode() & 0o7777
        )
    } else {
        return Ok(());
    };
    Err(StoreError::new(
        StoreErrorKind::Misconfigured,
        format!(
            "cannot trust the lock directory {}: {fault} (choose another with --url local:/dir)",
            path.display()
        ),
    ))
}

fn cannot_use(path: &Path, errno: Errno) -> StoreError {
    let why = match errno {
        Errno::ENOENT => "it does not exist; create it first".to_owned(),
        Errno::ELOOP | Errno::ENOTDIR => "it is a symbolic link or not a directory".to_owned(),
        _ => reason(errno),
    };
    let kind = match errno {
        Errno::ENOENT => StoreErrorKind::Misconfigured,
        _ => kind(errno),
    };
    StoreError::new(
        kind,
        format!("cannot use the lock directory {}: {why}", path.display()),
    )
}

/// What the kernel's answer means for the caller.
fn kind(errno: Errno) -> StoreErrorKind {
    match errno {
        Errno::EACCES | Errno::EPERM | Errno::EROFS => StoreErrorKind::Denied,
        Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::ENAMETOOLONG => {
            StoreErrorKind::Misconfigured
        }
        _ => StoreErrorKind::Unavailable,
    }
}

fn reason(errno: Errno) -> String {
    errno.desc().to_lowercase()
}

/// The kernel's answer behind an error of std.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_a_user_finds_the_same_directory() {
        let base = std::env::temp_dir().join(format!("tasklock-place-{}", std::process::id()));
        let (run_lock, tmp) = (base.join("lock"), base.join("tmp"));
        fs::create_dir_all(&run_lock).unwrap();
        let owner = run_lock.metadata().unwrap().uid();
        let place = |uid: u32| own_directory(&run_lock, &tmp, ("tasklock-7", uid));
        let set_mode = |mode| {
            fs::set_permissions(&run_lock, Permissions::from_mode(mode)).unwrap();
        };
        set_mode(0o1777);
        assert_eq!(place(owner + 7), run_lock.join("tasklock-7"), "Debian");
        set_mode(0o755);
        assert_eq!(place(owner + 7), tmp.join("tasklock-7"), "Fedora");
        assert_eq!(place(owner), run_lock.join("tasklock-7"));
        fs::create_dir(run_lock.join("tasklock-7")).unwrap();
        assert_eq!(
            place(owner + 7),
            run_lock.join("tasklock-7"),
            "made by the administrator"
        );
        fs::remove_dir_all(&base).unwrap();
        assert_eq!(place(owner), tmp.join("tasklock-7"), "no /run/lock");
    }
}
