//! Starting a program without copying ours: the child borrows our memory until
//! it executes, as in vfork(2) and posix_spawn(3).
//!
//! A fork copies page tables and lets both sides copy what they touch, which
//! costs more than all the rest of a start. posix_spawn itself cannot set
//! `PR_SET_PDEATHSIG`. The borrowing child has a stack of its own, calls nothing
//! but what is async-signal-safe, and takes no lock and no memory.
//!
//! Meanwhile the thread that starts it is suspended. A child that was stopped
//! (^Z) in that moment would hold it up for as long, so no stop signal of a
//! terminal has its effect before the program is executed.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use nix::errno::Errno;
use nix::libc::{self, c_char, c_int, c_void};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid};

use crate::footprint::Track;

/// For the search through `PATH`, and some to spare; the arguments come on top,
/// since those of a script without `#!` are copied there.
const STACK_BYTES: usize = 128 * 1024;

/// What the child is to become.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The command, sought in `PATH`, and its arguments.
    pub(crate) command: &'a [OsString],
    /// All of its environment, each as `NAME=value`.
    pub(crate) environment: Vec<OsString>,
    /// It gets a process group of its own.
    pub(crate) own_group: bool,
    /// It is killed when this thread ends.
    pub(crate) dies_with_us: bool,
    /// Where it puts who it is, if it is to be killed then.
    pub(crate) track: Option<Track<'a>>,
    /// The signals that it blocks.
    pub(crate) mask: SigSet,
}

/// Starts `program`. Its descriptors are ours that do not close on exec, and
/// SIGPIPE has its default effect: the runtime of Rust ignores it.
///
/// # Errors
/// What the kernel said, to the start of a process or to the execution.
pub(crate) fn spawn(program: Program<'_>) -> io::Result<Pid> {
    let arguments = c_strings(program.command.iter().cloned())?;
    let environment = c_strings(program.environment.iter().cloned())?;
    let mut order = Order {
        arguments: pointers(&arguments),
        environment: pointers(&environment),
        own_group: program.own_group,
        dies_with: program.dies_with_us.then(getpid),
        track: program.track,
        mask: program.mask,
        errno: 0,
    };
    let bytes = STACK_BYTES + size_of_val(order.arguments.as_slice());
    let mut stack: Vec<u128> = vec![0; bytes.div_ceil(size_of::<u128>())];
    // Nothing is delivered to the child while it borrows our memory.
    let mut before = SigSet::empty();
    pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )?;
    let pid = clone(&mut order, &mut stack);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    let pid = pid?;
    match order.errno {
        0 => Ok(pid),
        errno => {
            // It has ended without a word; nobody else is to find it.
            while waitpid(pid, None) == Err(Errno::EINTR) {}
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// What the child is told, and what it tells in return.
struct Order<'a> {
    /// Each list ends with a null pointer.
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    own_group: bool,
    dies_with: Option<Pid>,
    track: Option<Track<'a>>,
    mask: SigSet,
    /// Why nothing was executed.
    errno: c_int,
}

#[allow(unsafe_code)]
fn clone(order: &mut Order<'_>, stack: &mut [u128]) -> Result<Pid, Errno> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end;
    // SAFETY: the stack grows down from its end on all that Linux and Rust know
    // together, is aligned, and lives, as does the order, until the call returns:
    // with CLONE_VFORK that is when the child has executed or ended.
    let pid = unsafe { libc::clone(in_child, top.cast(), flags, ptr::from_mut(order).cast()) };
    Errno::result(pid).map(Pid::from_raw)
}

#[allow(unsafe_code)]
extern "C" fn in_child(order: *mut c_void) -> c_int {
    // SAFETY: `clone` passed a pointer to its order, which nobody else touches
    // while that thread is suspended.
    let order = unsafe { &mut *order.cast::<Order<'_>>() };
    order.errno = execute(order) as c_int;
    // SAFETY: ends this process alone, without running anything of ours.
    unsafe { libc::_exit(127) }
}

/// Between clone and exec: only async-signal-safe calls, nothing allocated.
#[allow(unsafe_code)]
fn execute(order: &mut Order<'_>) -> Errno {
    // SAFETY: the calls take numbers, pointers to locals, and null-terminated
    // lists that outlive the child's use of them. Handlers that are set here are
    // the child's own (no CLONE_SIGHAND), and gone with exec.
    unsafe {
        if order.own_group && libc::setpgid(0, 0) != 0 {
            return Errno::last();
        }
        set_action(libc::SIGPIPE, libc::SIG_DFL);
        for stop in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            if action(stop) == libc::SIG_DFL {
                set_action(stop, ignore as extern "C" fn(c_int) as usize);
            }
        }
        if let Some(parent) = order.dies_with {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Errno::last();
            }
            // We may have died before the call. The pid is compared with the
            // one from before: our own parent need not be 1.
            if libc::getppid() != parent.as_raw() {
                return Errno::ESRCH;
            }
            if let Some(track) = &mut order.track {
                track.tread();
            }
        }
        libc::sigprocmask(libc::SIG_SETMASK, order.mask.as_ref(), ptr::null_mut());
        let program = order.arguments[0];
        libc::execvpe(
            program,
            order.arguments.as_ptr(),
            order.environment.as_ptr(),
        );
    }
    Errno::last()
}

/// A handler, unlike SIG_IGN, ends with exec.
extern "C" fn ignore(_signal: c_int) {}

#[allow(unsafe_code)]
fn action(signal: c_int) -> usize {
    // SAFETY: all-zero is a valid sigaction, which the call overwrites.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut action);
        action.sa_sigaction
    }
}

#[allow(unsafe_code)]
fn set_action(signal: c_int, handler: usize) {
    // SAFETY: all-zero is a valid sigaction without flags; the handler is a
    // disposition of the kernel's, or a function that does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// None contains a NUL, which neither arguments nor an environment can bring.
fn c_strings(texts: impl Iterator<Item = OsString>) -> io::Result<Vec<CString>> {
    texts
        .map(|text| CString::new(text.into_vec()).map_err(io::Error::from))
        .collect()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let pointers = texts.iter().map(|text| text.as_ptr());
    pointers.chain([ptr::null()]).collect()
}

/// Our environment with these variables set, or removed where there is no value.
pub(crate) fn environment_with(changes: &[(&str, Option<OsString>)]) -> Vec<OsString> {
    let entry = |name: &[u8], value: &[u8]| OsString::from_vec([name, b"=", value].concat());
    let ours = std::env::vars_os()
        .filter(|(name, _)| !changes.iter().any(|(changed, _)| name == *changed))
        .map(|(name, value)| entry(name.as_bytes(), value.as_bytes()));
    let set = changes
        .iter()
        .filter_map(|(name, value)| Some(entry(name.as_bytes(), value.as_ref()?.as_bytes())));
    ours.chain(set).collect()
}
