//! CPUs: keeping to one, and taking one away from others.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use loadgen::clock::monotonic_ns;
use mpm_observer::lab::allowed_cpus;
use nix::{
    libc,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The calling thread on a CPU of its own; ends with the value.
pub struct Pinned(CpuSet);

impl Pinned {
    /// Keeps the calling thread off the CPU that is returned with it. `None` with one CPU.
    pub fn beside_another() -> Option<(Self, usize)> {
        let cpus = allowed_cpus().unwrap();
        let [other, own, ..] = cpus[..] else {
            return None;
        };
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        keep_to(own);
        Some((Self(before), other))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // As it was allowed before.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

fn keep_to(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// The calling thread's place among those that want its CPU.
fn set_policy(policy: i32, sched_priority: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority };
    // SAFETY: the parameter outlives the call, which changes the calling thread alone.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Goes before every ordinary task of its CPU.
fn become_real_time() -> io::Result<()> {
    set_policy(libc::SCHED_FIFO, 1)
}

/// Whether this process may make real-time tasks.
pub fn may_be_real_time() -> bool {
    thread::spawn(|| become_real_time().is_ok()).join().unwrap()
}

/// A task that shares a CPU with whoever else is there; ends with the value.
pub struct Hog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hog {
    /// One like all others. Returns when it runs.
    pub fn start(cpu: usize) -> Self {
        Self::start_as(cpu, libc::SCHED_OTHER)
    }

    /// One that every other task displaces at once: its CPU never idles, and so needs no time to
    /// begin again.
    pub fn start_instead_of_idling(cpu: usize) -> Self {
        Self::start_as(cpu, libc::SCHED_IDLE)
    }

    fn start_as(cpu: usize, policy: i32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (began, runs) = mpsc::channel();
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                keep_to(cpu);
                set_policy(policy, 0).unwrap();
                began.send(()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        runs.recv().unwrap();
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A task that takes a CPU away from all ordinary ones for a time.
pub struct Thief {
    thread: JoinHandle<u64>,
    /// Since when it has the CPU.
    pub began_ns: u64,
}

impl Thief {
    /// Returns when it has the CPU.
    pub fn start(cpu: usize, length: Duration) -> Self {
        let (began, runs) = mpsc::channel();
        let thread = thread::spawn(move || {
            become_real_time().unwrap();
            keep_to(cpu);
            let began_ns = monotonic_ns();
            began.send(began_ns).unwrap();
            let until_ns = began_ns + u64::try_from(length.as_nanos()).unwrap();
            let mut now_ns = began_ns;
            while now_ns < until_ns {
                now_ns = monotonic_ns();
            }
            // Gives the CPU back at once: a thread's end would take a while.
            thread::sleep(Duration::from_millis(1));
            now_ns
        });
        Self {
            began_ns: runs.recv().unwrap(),
            thread,
        }
    }

    /// When it gave the CPU back.
    pub fn ended_ns(self) -> u64 {
        self.thread.join().unwrap()
    }
}
