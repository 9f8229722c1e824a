//! The accept queue of a server in its own network namespace, by the kernel's socket diagnosis.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt,
        sockopt::ReceiveTimeout,
    },
    sys::time::{TimeVal, TimeValLike},
};

use super::accept_queue;

/// `SOCK_DIAG_BY_FAMILY`, `NLMSG_DONE` and `NLMSG_ERROR`.
const BY_FAMILY: u16 = 20;
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 0x301;
/// The bit of the state `TCP_LISTEN`.
const LISTEN: u32 = 1 << 10;
/// Sizes of `nlmsghdr` and `inet_diag_msg`.
const HEAD_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 72;
/// The kernel answers at once.
const PATIENCE_S: i64 = 1;

/// Connections in an accept queue, and how many it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptQueue {
    /// Those in it.
    pub length: u32,
    /// How many it takes, the smaller one of the listener's wish and somaxconn; 0: not known.
    pub limit: u32,
}

/// What asks for the queue of one port.
#[derive(Debug)]
pub struct Listener {
    pid: u32,
    port: u16,
    /// `None` where the kernel cannot be asked: without the right to enter the namespace.
    socket: Option<OwnedFd>,
}

impl Listener {
    /// Of what listens on `port` in a process's network namespace.
    #[must_use]
    pub fn new(pid: u32, port: u16) -> Self {
        let socket = diagnosis_in_network_of(pid).ok();
        Self { pid, port, socket }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its queue now, of several listeners on the port together; `None` while nothing listens.
    #[must_use]
    pub fn queue(&self) -> Option<AcceptQueue> {
        match self.socket.as_ref().map(|socket| ask(socket, self.port)) {
            Some(Ok(queue)) => queue,
            Some(Err(_)) | None => {
                let length = accept_queue(self.pid, self.port)?;
                Some(AcceptQueue { length, limit: 0 })
            }
        }
    }
}

/// A socket belongs to the namespace in which it was made, wherever it is used later.
fn diagnosis_in_network_of(pid: u32) -> io::Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/net");
    if fs::metadata(&path)?.ino() == fs::metadata("/proc/thread-self/ns/net")?.ino() {
        return diagnosis();
    }
    let namespace = File::open(path)?;
    // The namespace is a thread's; this one ends with it.
    let within = thread::Builder::new().spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        diagnosis()
    })?;
    within
        .join()
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

fn diagnosis() -> io::Result<OwnedFd> {
    let socket = nix::sys::socket::socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))?;
    Ok(socket)
}

fn ask(socket: &OwnedFd, port: u16) -> io::Result<Option<AcceptQueue>> {
    let mut sum: Option<AcceptQueue> = None;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        send(
            socket.as_raw_fd(),
            &request(family as u8),
            MsgFlags::empty(),
        )?;
        let mut buffer = vec![0; 32 << 10];
        loop {
            let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let answer = answer(&buffer[..length], port)?;
            for queue in answer.queues {
                let sum = sum.get_or_insert_default();
                sum.length = sum.length.saturating_add(queue.length);
                sum.limit = sum.limit.saturating_add(queue.limit);
            }
            if answer.is_last {
                break;
            }
        }
    }
    Ok(sum)
}

/// A question for all listening TCP sockets of a family.
fn request(family: u8) -> Vec<u8> {
    const TCP: u8 = 6;
    // `inet_diag_req_v2`: family, protocol, two bytes, states; no socket is named.
    const BYTES: usize = 56;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + BYTES);
    bytes.extend(((HEAD_BYTES + BYTES) as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    // Sequence and sender.
    bytes.extend([0; 8]);
    bytes.extend([family, TCP, 0, 0]);
    bytes.extend(LISTEN.to_ne_bytes());
    bytes.resize(HEAD_BYTES + BYTES, 0);
    bytes
}

struct Answer {
    queues: Vec<AcceptQueue>,
    is_last: bool,
}

/// Takes one datagram of an answer apart.
fn answer(mut bytes: &[u8], port: u16) -> io::Result<Answer> {
    let mut answer = Answer {
        queues: Vec::new(),
        is_last: false,
    };
    while let Some(head) = bytes.get(..HEAD_BYTES) {
        let length = u32_at(head, 0).unwrap_or(0) as usize;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let Some(body) = bytes.get(HEAD_BYTES..length) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match kind {
            DONE => answer.is_last = true,
            ERROR => return Err(io::ErrorKind::Unsupported.into()),
            BY_FAMILY if body.len() >= MESSAGE_BYTES => {
                // After family, state, timer and retransmissions the local port; after the
                // socket's name and a time the queue and its limit.
                let of_port = u16::from_be_bytes([body[4], body[5]]) == port;
                if let (true, Some(length), Some(limit)) =
                    (of_port, u32_at(body, 56), u32_at(body, 60))
                {
                    answer.queues.push(AcceptQueue { length, limit });
                }
            }
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(answer)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        thread,
        time::{Duration, Instant},
    };

    use nix::sys::socket::{Backlog, listen};

    use super::*;

    /// A client is connected before the server's side is in the queue.
    fn wait_until(listener: &Listener, expected: Option<AcceptQueue>) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while listener.queue() != expected {
            assert!(Instant::now() < deadline, "{:?}", listener.queue());
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_listener_tells_its_queue_and_its_limit() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            listen(&listener, Backlog::new(7).unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            let queue = Listener::new(std::process::id(), address.port());
            let of = |length| Some(AcceptQueue { length, limit: 7 });
            assert_eq!(queue.queue(), of(0));
            let _clients: Vec<TcpStream> = (0..3)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            wait_until(&queue, of(3));
            drop(listener);
            assert_eq!(queue.queue(), None);
        }
    }

    #[test]
    fn without_the_diagnosis_the_length_is_still_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let queue = Listener {
            pid: std::process::id(),
            port: address.port(),
            socket: None,
        };
        let length_only = AcceptQueue {
            length: 1,
            limit: 0,
        };
        wait_until(&queue, Some(length_only));
    }

    #[test]
    fn an_answer_that_is_cut_off_or_an_error_is_refused() {
        let mut message = vec![0; HEAD_BYTES + MESSAGE_BYTES];
        message[..4].copy_from_slice(&((HEAD_BYTES + MESSAGE_BYTES) as u32).to_ne_bytes());
        message[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        message[HEAD_BYTES + 4..HEAD_BYTES + 6].copy_from_slice(&80_u16.to_be_bytes());
        message[HEAD_BYTES + 60] = 9;
        let queues = |port| answer(&message, port).unwrap().queues;
        assert_eq!(
            queues(80),
            [AcceptQueue {
                length: 0,
                limit: 9
            }]
        );
        assert_eq!(queues(81), []);
        assert!(answer(&message[..40], 80).is_err());
        message[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        assert!(answer(&message, 80).is_err());
    }
}
