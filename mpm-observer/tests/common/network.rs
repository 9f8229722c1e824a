//! A network namespace of a test's own.

use std::{
    fs::File,
    io,
    process::{Child, Command},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace with a loopback of its own: ports in it are free. It lasts as long as this
/// value and what was started in it.
pub struct Network {
    file: File,
}

impl Network {
    /// Needs root and `ip`.
    pub fn new() -> Self {
        let file = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let up = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status();
            assert!(up.unwrap().success(), "loopback is not up");
            File::open("/proc/thread-self/ns/net").unwrap()
        })
        .join()
        .unwrap();
        Self { file }
    }

    /// Does something in it, in a thread of its own. Sockets that it makes stay in it, and so do
    /// the threads and programs that it starts.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            worker.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a program in it.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.within(|| command.spawn())
    }
}
