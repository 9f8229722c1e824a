//! The sockets of the slots: how they connect and how they are read.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use socket2::{Domain, SockAddr, Socket, Type};

use super::Plan;
use crate::response::ResponseReader;

/// Longest read.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Longest read while a head is expected: what comes of a body behind the head is
/// copied for nothing.
const HEAD_READ_BYTES: usize = 16 * 1024;

/// What a read brought.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    /// 0 at the end of the stream.
    pub(super) bytes: usize,
    /// How many it could have been.
    pub(super) possible: usize,
    /// Bytes of the body that the kernel dropped; otherwise they are in the buffer.
    pub(super) dropped: bool,
}

/// Begins to connect for a slot. Also returns the local address, which is known as soon
/// as the connect has been called; a unix socket has none.
pub(super) fn connect(
    address: &SockAddr,
    plan: &Plan<'_>,
    slot: u32,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None)?;
    if let Some(bytes) = plan.config.socket_buffer_bytes {
        // Before the connect, which is when the window's scale is agreed.
        socket.set_send_buffer_size(bytes as usize)?;
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    if let Some(source) = plan.source_of(slot) {
        // The port is chosen by the connect, so that every remote address has all of them.
        bind_address_no_port(&socket)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let local = if address.domain() == Domain::UNIX {
        None
    } else {
        socket.local_addr()?.as_socket()
    };
    Ok((socket, local))
}

/// Reads once: into `buffer` (of [`READ_BYTES`]), or, where only a body is to come,
/// nowhere, up to `at_most` bytes.
pub(super) fn read(
    mut socket: &Socket,
    reader: &ResponseReader,
    buffer: &mut [u8],
    at_most: usize,
) -> io::Result<Piece> {
    if let Some(possible) = droppable_bytes(reader, at_most) {
        return Ok(Piece {
            bytes: drop_bytes(socket, possible)?,
            possible,
            dropped: true,
        });
    }
    let possible = if reader.status() == 0 {
        HEAD_READ_BYTES
    } else {
        READ_BYTES
    };
    Ok(Piece {
        bytes: socket.read(&mut buffer[..possible])?,
        possible,
        dropped: false,
    })
}

/// How many bytes the kernel may drop, as they can only be of the body, up to `at_most`.
pub(super) fn droppable_bytes(reader: &ResponseReader, at_most: usize) -> Option<usize> {
    let unseen = reader.unseen()?;
    // A chunk that is shorter comes with the next chunk's line in one read.
    if !unseen.then_complete && unseen.bytes < READ_BYTES as u64 {
        return None;
    }
    // One byte more than the body has: if it comes, there is a surplus.
    let wanted = unseen.bytes.saturating_add(u64::from(unseen.then_complete));
    Some(usize::try_from(wanted).map_or(at_most, |wanted| wanted.min(at_most)))
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
