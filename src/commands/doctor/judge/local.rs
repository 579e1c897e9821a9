//! Lock files of this host.

use crate::commands::doctor::facts::{Directory, Local};
use crate::commands::doctor::finding::{Finding, Level};
use crate::exit::Code;

/// File systems of several hosts, by `statfs(2)` and the kernel's `magic.h`.
const SHARED: [(i64, &str); 11] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x5346_414F, "AFS"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x0102_1997, "9P"),
];
const TMPFS: i64 = 0x0102_1994;

/// What is to be said of lock files.
pub(super) fn judge(local: &Local, unconfigured: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if unconfigured {
        let text = "no URL is configured: locks hold for this user on this host only";
        findings.push(Finding::warning("store", text).advise(
            "set TASKLOCK_URL to a store for all hosts; or to local: if that is what is meant",
        ));
    }
    match &local.directory {
        Ok(directory) => findings.extend([standing(local, directory), file_system(directory)]),
        Err(why) => findings.push(
            Finding::new(
                "directory",
                Level::Error(Code::Config),
                format!("{}: {why}", local.path.display()),
            )
            .advise("create it, or choose another with --url local:/dir"),
        ),
    }
    findings.push(match &local.inotify {
        Ok(()) => Finding::ok("inotify", "a waiter is told of a release at once"),
        Err(why) => Finding::warning(
            "inotify",
            format!("a waiter is not told of a release: {why}"),
        )
        .advise("raise fs.inotify.max_user_instances; until then waiters ask every now and then"),
    });
    findings
}

fn standing(local: &Local, directory: &Directory) -> Finding {
    let path = local.path.display();
    let text = if local.exists {
        format!(
            "{path}, owner {}, mode {:04o}",
            directory.owner, directory.mode
        )
    } else {
        format!("{path} does not exist yet, the first run makes it")
    };
    match &directory.writable {
        Ok(()) => Finding::ok("directory", text),
        Err(why) => Finding::new(
            "directory",
            Level::Error(Code::Denied),
            format!("{text}; no files can be created there: {why}"),
        )
        .advise("give this user the right to write there, or choose another with --url local:/dir"),
    }
}

fn file_system(directory: &Directory) -> Finding {
    let magic = match directory.magic {
        Ok(magic) => magic,
        Err(ref why) => return Finding::hidden("filesystem", "the kind of file system", why),
    };
    // The kernel's number has 32 bits; some platforms extend its sign.
    let magic = magic & 0xFFFF_FFFF;
    match SHARED.iter().find(|(it, _)| *it == magic) {
        Some((_, name)) => Finding::warning(
            "filesystem",
            format!("{name}: locks may hold for this host only, or get lost with its server"),
        )
        .advise("choose a directory of this host (--url local:/dir), or a store for all hosts"),
        None if magic == TMPFS => {
            Finding::ok("filesystem", "tmpfs: gone after a reboot, as the jobs are")
        }
        None => Finding::ok("filesystem", "of this host"),
    }
}
