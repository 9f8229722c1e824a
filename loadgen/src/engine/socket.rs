//! The socket of a slot: one write, one read, one registration.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockAddr, Socket, Type};

use super::Plan;
use super::exchange::Exchange;
use crate::clock::monotonic_ns;

/// Longest read.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Longest read while a head is expected: what comes of a body behind the head is
/// copied for nothing.
const HEAD_READ_BYTES: usize = 16 * 1024;

/// An attempt and the connection it runs over.
pub(super) struct Slot {
    pub(super) exchange: Exchange,
    pub(super) stream: Option<Socket>,
    interest: Option<Interest>,
    /// The server has closed its side, or the socket has an error: read to the end.
    pub(super) read_closed: bool,
    /// Error of a write; an answer may have come nevertheless.
    pub(super) write_errno: Option<i32>,
}

/// What became of a write.
pub(super) enum Written {
    All,
    Blocked,
    Failed(i32),
}

/// What a read brought.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    /// 0 at the end of the stream.
    pub(super) bytes: usize,
    /// How many it could have been.
    possible: usize,
    /// Bytes of the body that the kernel dropped; otherwise they are in the buffer.
    pub(super) dropped: bool,
}

impl Slot {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            stream: None,
            interest: None,
            read_closed: false,
            write_errno: None,
        }
    }

    /// Begins to connect; the `number`-th source address of the plan is used.
    pub(super) fn connect(&mut self, address: &SockAddr, plan: &Plan<'_>) -> io::Result<()> {
        self.interest = None;
        self.read_closed = false;
        self.write_errno = None;
        let socket = connecting_socket(address, plan, self.exchange.row().slot)?;
        // The port is known as soon as the connect has been called.
        if address.domain() != Domain::UNIX
            && let Some(local) = socket.local_addr()?.as_socket()
        {
            self.exchange.set_local(local);
        }
        self.stream = Some(socket);
        Ok(())
    }

    /// Writes what is left of the request. `now_ns` is the present, or 0.
    pub(super) fn write(&mut self, request: &[u8], mut now_ns: u64) -> Written {
        let Some(stream) = &mut self.stream else {
            return Written::Failed(libc::ENOTCONN);
        };
        loop {
            let rest = &request[self.exchange.sent_bytes().min(request.len())..];
            if rest.is_empty() {
                return Written::All;
            }
            if now_ns == 0 {
                now_ns = monotonic_ns();
            }
            match stream.write(rest) {
                Ok(0) => return Written::Blocked,
                Ok(bytes) => {
                    self.exchange.sent(bytes, now_ns, request.len());
                    now_ns = 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Written::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Written::Failed(errno(&error)),
            }
        }
    }

    /// Registers the socket once, and once more only if a request did not fit into
    /// its buffer after all.
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        wanted: Interest,
    ) -> io::Result<()> {
        let Some(stream) = &self.stream else {
            return Ok(());
        };
        match self.interest {
            None => registry.register(&mut SourceFd(&stream.as_raw_fd()), token, wanted)?,
            Some(Interest::READABLE) if wanted != Interest::READABLE => {
                registry.reregister(&mut SourceFd(&stream.as_raw_fd()), token, wanted)?;
            }
            Some(_) => return Ok(()),
        }
        self.interest = Some(wanted);
        Ok(())
    }

    /// Reads once: into `buffer` (of [`READ_BYTES`]), or, where only a body is to come,
    /// nowhere, up to `at_most` bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8], at_most: usize) -> io::Result<Piece> {
        let Some(stream) = &mut self.stream else {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        };
        let unseen = self.exchange.reader.unseen();
        if let Some(unseen) = unseen
            && (unseen.then_complete || unseen.bytes >= READ_BYTES as u64)
        {
            // One byte more than the body has: if it comes, there is a surplus.
            let wanted = unseen.bytes.saturating_add(u64::from(unseen.then_complete));
            let possible = usize::try_from(wanted).map_or(at_most, |w| w.min(at_most));
            return Ok(Piece {
                bytes: drop_bytes(stream, possible)?,
                possible,
                dropped: true,
            });
        }
        let possible = if self.exchange.reader.status() == 0 {
            HEAD_READ_BYTES
        } else {
            READ_BYTES
        };
        let buffer = &mut buffer[..possible];
        Ok(Piece {
            bytes: stream.read(buffer)?,
            possible,
            dropped: false,
        })
    }

    /// Whether nothing is left to read for now: the read brought less than it could,
    /// and no end of the stream waits to be read.
    pub(super) fn is_drained_by(&self, piece: Piece) -> bool {
        piece.bytes < piece.possible && !self.read_closed && self.write_errno.is_none()
    }
}

/// A socket of a slot that has begun to connect, without waiting.
pub(super) fn connecting_socket(
    address: &SockAddr,
    plan: &Plan<'_>,
    slot: u32,
) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None)?;
    if let Some(source) = plan.source_of(slot) {
        // The port is chosen by the connect, so that every remote address has all of them.
        bind_address_no_port(&socket)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

pub(super) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Takes up to `bytes` out of the socket without copying them anywhere.
fn drop_bytes(stream: &Socket, bytes: usize) -> io::Result<usize> {
    // SAFETY: the descriptor is open as long as `stream` is borrowed. With MSG_TRUNC, a
    // TCP socket discards the bytes and writes nothing to the buffer, which may be null
    // (tcp(7)).
    let dropped = unsafe {
        libc::recv(
            stream.as_raw_fd(),
            std::ptr::null_mut(),
            bytes,
            libc::MSG_TRUNC | libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(dropped).map_err(|_| io::Error::last_os_error())
}

/// Leaves the choice of the port to the connect (ip(7)).
fn bind_address_no_port(socket: &Socket) -> io::Result<()> {
    nix::sys::socket::setsockopt(
        socket,
        nix::sys::socket::sockopt::IpBindAddressNoPort,
        &true,
    )
    .map_err(io::Error::from)
}
