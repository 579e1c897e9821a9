//! The directory of lock files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::inotify::{InitFlags, Inotify};
use nix::sys::statfs::statfs;
use nix::unistd::{AccessFlags, faccessat};

use crate::commands::doctor::facts::{Directory, Local, Place, Seen};
use crate::config::Doctor;
use crate::message::plain;
use crate::store::local::LocalStore;
use crate::store::{Status, Store, StoreError};

/// Looks at the lock, and at the directory. Creates neither.
pub(super) fn collect(
    doctor: &Doctor,
    directory: Option<PathBuf>,
) -> (Result<Status, StoreError>, Place) {
    let is_chosen = directory.is_some();
    let mut store = LocalStore::open(directory);
    let look = store.inspect(&doctor.lock.name, doctor.lock.store_timeout);
    let path = store.path();
    let exists = path.exists();
    let standing = match path.parent() {
        // What was chosen has to exist, nobody makes it.
        Some(parent) if !exists && !is_chosen => parent,
        _ => path,
    };
    let local = Local {
        path: path.to_owned(),
        exists,
        directory: examine(standing),
        inotify: Inotify::init(InitFlags::IN_CLOEXEC)
            .map(drop)
            .map_err(|errno| errno.desc().to_owned()),
    };
    (look, Place::Local(local))
}

fn examine(path: &Path) -> Seen<Directory> {
    let metadata = fs::metadata(path).map_err(|error| plain(&error))?;
    let rights = AccessFlags::W_OK | AccessFlags::X_OK;
    Ok(Directory {
        owner: metadata.uid(),
        mode: metadata.mode() & 0o7777,
        magic: statfs(path)
            .map(|it| it.filesystem_type().0)
            .map_err(|errno| errno.desc().to_owned()),
        writable: faccessat(AT_FDCWD, path, rights, AtFlags::AT_EACCESS)
            .map_err(|errno| errno.desc().to_owned()),
    })
}
