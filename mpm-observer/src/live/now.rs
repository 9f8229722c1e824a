//! What the system says of a task, and of a socket that it waits for, at this moment.
//!
//! The programs keep a task's state at its switches, so one that was woken and has no CPU yet still
//! looks blocked to them, of one that has been blocked since before they were attached they do not
//! know the call, and of one that polls not for whom. Each of these is asked of the system.

use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::Once,
};

use nix::libc;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// What a task is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskNow {
    /// It runs or could run.
    Runnable,
    /// It is blocked outside of a system call, such as in a page fault.
    OutsideOfCall,
    /// It is blocked in a system call.
    Call {
        /// The call's number.
        number: u32,
        /// For what it polls, if it does so for one descriptor.
        polls: Option<Polls>,
    },
}

/// What a task polls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polls {
    /// The descriptor.
    pub fd: i32,
    /// Whether it waits for room to write; otherwise for something to read.
    pub to_write: bool,
}

/// A socket of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketNow {
    /// Its own address; `None` if it is none of TCP.
    pub local: Option<SocketAddr>,
    /// The other end's.
    pub peer: Option<SocketAddr>,
    /// Whether the server has said that it sends no more.
    pub is_closing: bool,
}

/// Whoever can be asked about tasks and sockets of the server. `None`: it does not know.
pub trait Beside {
    /// About a task.
    fn task(&self, pid: u32, tid: u32) -> Option<TaskNow>;
    /// About the socket behind a descriptor of a process.
    fn socket(&self, pid: u32, fd: i32) -> Option<SocketNow>;
}

/// Nobody to be asked.
pub struct Nobody;

impl Beside for Nobody {
    fn task(&self, _: u32, _: u32) -> Option<TaskNow> {
        None
    }

    fn socket(&self, _: u32, _: i32) -> Option<SocketNow> {
        None
    }
}

/// The running system. Needs `CAP_SYS_PTRACE`; without it nothing is known.
pub struct System;

impl Beside for System {
    fn task(&self, pid: u32, tid: u32) -> Option<TaskNow> {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).ok()?;
        parse(&text, |address| pollfd(pid, tid, address))
    }

    fn socket(&self, pid: u32, fd: i32) -> Option<SocketNow> {
        let process = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let process = pidfd_open(process, PidfdFlags::empty()).ok()?;
        // Shares the server's socket for some microseconds. Closing it again sends nothing.
        match pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()) {
            Ok(socket) => Some(socket_now(socket)),
            Err(error) => {
                if matches!(error, Errno::PERM | Errno::NOSYS) {
                    warn_of_refusal(error);
                }
                None
            }
        }
    }
}

/// Says once what is missing where sockets cannot be looked at. That a process or its descriptor is
/// gone meanwhile is no refusal.
fn warn_of_refusal(error: Errno) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        log::warn!(
            "what slots poll for cannot be looked at (pidfd_getfd: {error}): those that wait for a \
             backend, or for a client to close, count as reading_client; allow the call, as the \
             unit's SystemCallFilter= does, and keep CAP_SYS_PTRACE"
        );
    });
}

/// Reads a line of `/proc/PID/task/TID/syscall`: `running`, or the call's number and arguments,
/// `-1` outside of one.
fn parse(line: &str, pollfd: impl FnOnce(u64) -> Option<Polls>) -> Option<TaskNow> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    if first == "running" {
        return Some(TaskNow::Runnable);
    }
    let Ok(number) = first.parse() else {
        return (first == "-1").then_some(TaskNow::OutsideOfCall);
    };
    let argument = |word: Option<&str>| u64::from_str_radix(word?.strip_prefix("0x")?, 16).ok();
    let (descriptors, count) = (argument(words.next()), argument(words.next()));
    let is_poll = [libc::SYS_poll, libc::SYS_ppoll].contains(&libc::c_long::from(number));
    let polls = match (descriptors, count) {
        (Some(address), Some(1)) if is_poll => pollfd(address),
        _ => None,
    };
    Some(TaskNow::Call { number, polls })
}

/// The `struct pollfd` at an address of a task's memory.
fn pollfd(pid: u32, tid: u32, address: u64) -> Option<Polls> {
    let mut bytes = [0; 8];
    let memory = File::open(format!("/proc/{pid}/task/{tid}/mem")).ok()?;
    memory.read_exact_at(&mut bytes, address).ok()?;
    let [a, b, c, d, low, high, ..] = bytes;
    let events = i16::from_ne_bytes([low, high]);
    Some(Polls {
        fd: i32::from_ne_bytes([a, b, c, d]),
        to_write: events & libc::POLLOUT != 0,
    })
}

/// States of `tcp_info` after the server's own end was sent: FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE,
/// LAST_ACK, CLOSING.
const CLOSING: [u8; 6] = [4, 5, 6, 7, 9, 11];

fn socket_now(socket: OwnedFd) -> SocketNow {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let info = tcp_info(&socket);
    let socket = TcpStream::from(socket);
    SocketNow {
        local: socket.local_addr().ok().map(canonical),
        peer: socket.peer_addr().ok().map(canonical),
        is_closing: info.is_some_and(|info| CLOSING.contains(&info.tcpi_state)),
    }
}

/// `None` if it is no socket of TCP.
fn tcp_info(socket: &OwnedFd) -> Option<libc::tcp_info> {
    // SAFETY: plain integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `info`; the kernel writes no more.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(info)
}

/// An address without a mapping of IPv4 into IPv6.
pub(super) fn canonical(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        os::fd::AsFd,
        sync::mpsc::channel,
        time::{Duration, Instant},
    };

    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        unistd::gettid,
    };

    use super::*;

    const POLL: u32 = libc::SYS_poll as u32;

    #[test]
    fn a_line_of_proc_tells_what_a_task_is_in() {
        let polls = Polls {
            fd: 9,
            to_write: false,
        };
        let read = |line: &str| parse(line, |address| (address == 0x7ffe).then_some(polls));
        assert_eq!(read("running\n"), Some(TaskNow::Runnable));
        assert_eq!(read("-1 0x7f 0x7f\n"), Some(TaskNow::OutsideOfCall));
        let call = |number, polls| Some(TaskNow::Call { number, polls });
        assert_eq!(read("7 0x7ffe 0x1 0x1388 0x0\n"), call(7, Some(polls)));
        // For two descriptors: for none alone.
        assert_eq!(read("7 0x7ffe 0x2 0x1388 0x0\n"), call(7, None));
        assert_eq!(read("202 0x7ffe 0x1 0x0\n"), call(202, None));
        assert_eq!(read(""), None);
        assert_eq!(read("what"), None);
    }

    fn in_time<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_thread_that_polls_is_seen_with_the_address_of_the_other_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, peer) = listener.accept().unwrap();
        let (told, tid) = channel();
        let thread = std::thread::spawn(move || {
            told.send(gettid().as_raw().unsigned_abs()).unwrap();
            let mut fds = [PollFd::new(served.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).unwrap();
            served.read_exact(&mut [0]).unwrap();
        });
        let (pid, tid) = (std::process::id(), tid.recv().unwrap());
        let polls = in_time(|| match System.task(pid, tid)? {
            TaskNow::Call {
                number: POLL,
                polls,
            } => polls,
            _ => None,
        });
        assert!(!polls.to_write);
        let socket = System.socket(pid, polls.fd).unwrap();
        assert_eq!(socket.peer, Some(peer));
        assert_eq!(socket.local, Some(listener.local_addr().unwrap()));
        assert!(!socket.is_closing);
        client.write_all(b"x").unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn what_is_no_socket_is_known_as_none() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let seen = System
            .socket(std::process::id(), reader.as_raw_fd())
            .unwrap();
        assert_eq!((seen.local, seen.peer), (None, None));
        assert_eq!(System.socket(std::process::id(), i32::MAX), None);
    }
}
