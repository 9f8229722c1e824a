//! A worker: waits for coordinators and works for one at a time.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::key::Key;
use super::protocol::FrameError;
use super::session::Session;

/// Connections served at once; all but one of them only learn that the worker is busy.
const CALLERS_MAX: usize = 16;

/// How often it is looked whether to stop.
const LOOK_MS: u16 = 100;

/// A coordinator that comes while the last one is just leaving waits so long for it.
const LEAVING: Duration = Duration::from_secs(1);

/// What a worker has to offer, and to whom.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Load threads it offers.
    pub threads: u16,
    /// CPUs to bind them to, when the coordinator names none; empty: not bound.
    pub cpus: Vec<usize>,
    /// Works only for coordinators with this key; `None`: for everybody.
    pub key: Option<Key>,
}

/// What the sessions of a worker share.
pub(super) struct Post<'a> {
    pub(super) worker: &'a Worker,
    pub(super) stop: &'a AtomicBool,
    pub(super) notice: &'a (dyn Fn(&str) + Sync),
    busy: AtomicBool,
    callers: AtomicUsize,
}

/// Serves coordinators until `stop` is set; a run under way then is ended in order, its
/// coordinator gets what was measured. What happens is told to `notice`, line by line.
///
/// # Errors
/// When the listener fails; whatever a coordinator does is no error.
pub fn serve(
    worker: &Worker,
    listener: &TcpListener,
    stop: &AtomicBool,
    notice: &(dyn Fn(&str) + Sync),
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let post = Post {
        worker,
        stop,
        notice,
        busy: AtomicBool::new(false),
        callers: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            wait_for_caller(listener)?;
            let (stream, peer) = match listener.accept() {
                Ok(caller) => caller,
                // Nobody there, gone again, or no file free at the moment.
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error),
            };
            if post.callers.fetch_add(1, Ordering::Relaxed) >= CALLERS_MAX {
                post.callers.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let post = &post;
            let session = std::thread::Builder::new().spawn_scoped(scope, move || {
                post.receive(stream, &peer.to_string());
                post.callers.fetch_sub(1, Ordering::Relaxed);
            });
            if let Err(error) = session {
                post.callers.fetch_sub(1, Ordering::Relaxed);
                (post.notice)(&format!("cannot start a thread for {peer}: {error}"));
            }
        }
        Ok(())
    })
}

fn wait_for_caller(listener: &TcpListener) -> io::Result<()> {
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(LOOK_MS)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_passing(error: &io::Error) -> bool {
    let is_out_of_files = matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    );
    if is_out_of_files {
        // The waiting caller stays readable: without a pause this would be a busy loop.
        std::thread::sleep(Duration::from_millis(LOOK_MS.into()));
    }
    is_out_of_files
        || matches!(
            error.kind(),
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
        )
}

impl Post<'_> {
    fn receive(&self, stream: TcpStream, peer: &str) {
        let session = stream
            .set_nonblocking(false)
            .and_then(|()| Session::new(self, stream, peer));
        let ended = session.map_err(FrameError::from).and_then(Session::hold);
        match ended {
            // Ended from this side.
            Ok(()) | Err(FrameError::Cancelled) => {}
            Err(error) => (self.notice)(&format!("coordinator {peer}: {error}")),
        }
    }

    /// Takes the worker for one coordinator; `None` when another one has it.
    pub(super) fn claim(&self) -> Option<Claim<'_>> {
        let deadline = Instant::now() + LEAVING;
        while self.busy.swap(true, Ordering::Acquire) {
            if Instant::now() >= deadline || self.stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Claim(&self.busy))
    }
}

/// The worker is taken as long as this lives.
pub(super) struct Claim<'a>(&'a AtomicBool);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
