//! One record of fixed size for every attempt at a request.
//!
//! # Layout of an encoded row
//!
//! 144 bytes, little endian, no file header: a rows file is rows and nothing else,
//! so a reader may start at any multiple of [`Row::SIZE`].
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 16 | local address, IPv6, IPv4 as `::ffff:a.b.c.d` |
//! | 16 | 16 | remote address, likewise |
//! | 32 | 9 x 8 | `intended_ns`, `start_ns`, `connect_start_ns`, `connected_ns`, `sent_ns`, `first_byte_ns`, `last_byte_ns`, `end_ns`, `loop_wake_ns` |
//! | 104 | 8 | body bytes |
//! | 112 | 4 | header bytes |
//! | 116 | 4 | request bytes |
//! | 120 | 4 | slot |
//! | 124 | 4 | ordinal in the connection |
//! | 128 | 2 | thread |
//! | 130 | 2 | URL |
//! | 132 | 2 | local port |
//! | 134 | 2 | remote port |
//! | 136 | 2 | status |
//! | 138 | 2 | errno |
//! | 140 | 1 | outcome |
//! | 141 | 1 | flags |
//! | 142 | 1 | detail |
//! | 143 | 1 | layout version, 2 |

use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::Outcome;

/// Version of the layout, in every row.
const LAYOUT_VERSION: u8 = 2;

/// What happened to one attempt at a request.
///
/// Times are nanoseconds of CLOCK_MONOTONIC; 0 means that it did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Local address; IPv4 as a mapped IPv6 address. All zero when none was assigned.
    pub local_ip: [u8; 16],
    /// Remote address, likewise.
    pub remote_ip: [u8; 16],
    /// When the request was due: in an open loop what its schedule says, otherwise the
    /// same as `start_ns`. Latency is counted from here.
    pub intended_ns: u64,
    /// When the request began: the connect on a new connection, the write on a reused
    /// one. A retry keeps the start of its first attempt.
    pub start_ns: u64,
    /// When the connect of this connection was called. On a reused connection this and
    /// `connected_ns` lie before the request.
    pub connect_start_ns: u64,
    /// When the connection was known to be usable.
    pub connected_ns: u64,
    /// When the successful write of the request began; with io_uring, when the queue with
    /// this write and at most 3 others was handed to the kernel.
    pub sent_ns: u64,
    /// When the first byte of the answer was read, interim answers included.
    pub first_byte_ns: u64,
    /// When the last byte of a complete answer was read (for a body that ends with
    /// the connection: when its end was seen).
    pub last_byte_ns: u64,
    /// When the outcome was known. Never 0.
    pub end_ns: u64,
    /// When the event loop woke for the batch in which the first byte was read:
    /// `first_byte_ns - loop_wake_ns` is the client's own delay. With io_uring the kernel
    /// has read the batch by then, which is a delay of the client's that is not in it.
    pub loop_wake_ns: u64,
    /// Bytes of the body, without chunk framing.
    pub body_bytes: u64,
    /// Bytes of the head, interim answers included.
    pub header_bytes: u32,
    /// Bytes of the request that the kernel accepted.
    pub request_bytes: u32,
    /// Which of the concurrent slots of its thread sent it.
    pub slot: u32,
    /// The how-manieth request of its connection it is, from 0.
    pub ordinal: u32,
    /// The load thread.
    pub thread: u16,
    /// Which of the URLs was asked for, in the order in which they were given, from 0.
    pub url: u16,
    /// Local port, 0 when none was assigned.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Status of the answer, 0 for none.
    pub status: u16,
    /// The system's error number, 0 for none.
    pub errno: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// [`Row::RETRIED`], [`Row::REUSED`], [`Row::WARM_UP`], [`Row::WAITED`] and
    /// [`Row::KEPT`].
    pub flags: u8,
    /// For [`Outcome::Malformed`]: the number of the [`Malformed`](crate::Malformed); for
    /// [`Outcome::ConnectFailed`] because of TLS: that of the [`TlsFailure`]; else 0.
    pub detail: u8,
}

/// Why TLS did not come about. The numbers stand in the `detail` of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TlsFailure {
    /// The server's certificate is not accepted: unknown issuer, other name, expired.
    Certificate = 1,
    /// The handshake failed in another way: the server does not speak TLS, or has
    /// nothing in common with the client, or wants a client certificate.
    Handshake = 2,
    /// The server does not offer HTTP/2.
    NoHttp2 = 3,
}

/// Why bytes are not a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by another version.
    #[error("row layout version {0} is not known, this program reads version 2")]
    Version(u8),
    /// Not an outcome.
    #[error("outcome number {0} is not known")]
    Outcome(u8),
}

impl Row {
    /// Bytes of an encoded row.
    pub const SIZE: usize = 144;
    /// Flag: the retry of a request that met a stale keep-alive connection.
    pub const RETRIED: u8 = 1;
    /// Flag: sent on a connection that had answered a request before.
    pub const REUSED: u8 = 2;
    /// Flag: due in the time of warming up, which is left out of the figures.
    pub const WARM_UP: u8 = 4;
    /// Flag: it began later than it was due, as no slot was free (open loop only).
    pub const WAITED: u8 = 8;
    /// Flag: a complete answer after which the server keeps the connection open.
    pub const KEPT: u8 = 16;

    /// A row in which nothing has happened yet.
    pub(crate) const EMPTY: Self = Self {
        local_ip: [0; 16],
        remote_ip: [0; 16],
        intended_ns: 0,
        start_ns: 0,
        connect_start_ns: 0,
        connected_ns: 0,
        sent_ns: 0,
        first_byte_ns: 0,
        last_byte_ns: 0,
        end_ns: 0,
        loop_wake_ns: 0,
        body_bytes: 0,
        header_bytes: 0,
        request_bytes: 0,
        slot: 0,
        ordinal: 0,
        thread: 0,
        url: 0,
        local_port: 0,
        remote_port: 0,
        status: 0,
        errno: 0,
        outcome: Outcome::Aborted,
        flags: 0,
        detail: 0,
    };

    /// The local end of the connection, IPv4 addresses as such.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(unmapped(self.local_ip), self.local_port)
    }

    /// The remote end of the connection, IPv4 addresses as such.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(unmapped(self.remote_ip), self.remote_port)
    }

    /// Whether it is the retry of a request that met a stale connection.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        self.flags & Self::RETRIED != 0
    }

    /// Whether its connection had been used before.
    #[must_use]
    pub const fn is_reused(&self) -> bool {
        self.flags & Self::REUSED != 0
    }

    /// Whether it belongs to the warm-up.
    #[must_use]
    pub const fn is_warm_up(&self) -> bool {
        self.flags & Self::WARM_UP != 0
    }

    /// Whether the server keeps the connection open after this answer.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.flags & Self::KEPT != 0
    }

    /// Whether it waited for a free slot.
    #[must_use]
    pub const fn has_waited(&self) -> bool {
        self.flags & Self::WAITED != 0
    }

    pub(crate) fn set_local(&mut self, addr: SocketAddr) {
        self.local_ip = mapped(addr.ip());
        self.local_port = addr.port();
    }

    pub(crate) fn set_remote(&mut self, addr: SocketAddr) {
        self.remote_ip = mapped(addr.ip());
        self.remote_port = addr.port();
    }

    /// The row in the layout described at the [module](self).
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut at = Writer(&mut bytes, 0);
        at.put(self.local_ip);
        at.put(self.remote_ip);
        for time_ns in [
            self.intended_ns,
            self.start_ns,
            self.connect_start_ns,
            self.connected_ns,
            self.sent_ns,
            self.first_byte_ns,
            self.last_byte_ns,
            self.end_ns,
            self.loop_wake_ns,
        ] {
            at.put(time_ns.to_le_bytes());
        }
        at.put(self.body_bytes.to_le_bytes());
        for number in [
            self.header_bytes,
            self.request_bytes,
            self.slot,
            self.ordinal,
        ] {
            at.put(number.to_le_bytes());
        }
        for number in [
            self.thread,
            self.url,
            self.local_port,
            self.remote_port,
            self.status,
            self.errno,
        ] {
            at.put(number.to_le_bytes());
        }
        at.put([self.outcome as u8, self.flags, self.detail, LAYOUT_VERSION]);
        bytes
    }

    /// Reads a row back.
    ///
    /// # Errors
    /// [`RowError`] when the bytes are of another version or no row at all.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, RowError> {
        if bytes[143] != LAYOUT_VERSION {
            return Err(RowError::Version(bytes[143]));
        }
        let u64_at = |at: usize| u64::from_le_bytes(part(bytes, at));
        let u32_at = |at: usize| u32::from_le_bytes(part(bytes, at));
        let u16_at = |at: usize| u16::from_le_bytes(part(bytes, at));
        Ok(Self {
            local_ip: part(bytes, 0),
            remote_ip: part(bytes, 16),
            intended_ns: u64_at(32),
            start_ns: u64_at(40),
            connect_start_ns: u64_at(48),
            connected_ns: u64_at(56),
            sent_ns: u64_at(64),
            first_byte_ns: u64_at(72),
            last_byte_ns: u64_at(80),
            end_ns: u64_at(88),
            loop_wake_ns: u64_at(96),
            body_bytes: u64_at(104),
            header_bytes: u32_at(112),
            request_bytes: u32_at(116),
            slot: u32_at(120),
            ordinal: u32_at(124),
            thread: u16_at(128),
            url: u16_at(130),
            local_port: u16_at(132),
            remote_port: u16_at(134),
            status: u16_at(136),
            errno: u16_at(138),
            outcome: Outcome::from_u8(bytes[140]).ok_or(RowError::Outcome(bytes[140]))?,
            flags: bytes[141],
            detail: bytes[142],
        })
    }
}

/// Reads encoded rows one by one; a row that is not whole yet ends the reading.
#[derive(Debug)]
pub struct RowReader<R>(R);

impl<R: Read> RowReader<R> {
    /// Reads from `source`; a buffered one is much faster.
    pub fn new(source: R) -> Self {
        Self(source)
    }
}

impl<R: Read> Iterator for RowReader<R> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = [0; Row::SIZE];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => Some(Row::decode(&bytes).map_err(io::Error::other)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => Some(Err(error)),
        }
    }
}

struct Writer<'a>(&'a mut [u8; Row::SIZE], usize);

impl Writer<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0[self.1..self.1 + N].copy_from_slice(&bytes);
        self.1 += N;
    }
}

fn part<const N: usize>(bytes: &[u8; Row::SIZE], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn unmapped(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Row {
        let mut row = Row {
            intended_ns: 15,
            url: 16,
            start_ns: 1,
            connect_start_ns: 2,
            connected_ns: 3,
            sent_ns: 4,
            first_byte_ns: 5,
            last_byte_ns: 6,
            end_ns: u64::MAX,
            loop_wake_ns: 8,
            body_bytes: 9 << 40,
            header_bytes: 10,
            request_bytes: 11,
            slot: 12,
            ordinal: 13,
            thread: 14,
            status: 200,
            errno: 111,
            outcome: Outcome::ShortBody,
            flags: Row::RETRIED | Row::REUSED,
            detail: 7,
            ..Row::EMPTY
        };
        row.set_local("127.0.0.1:40000".parse().expect("address"));
        row.set_remote("[2001:db8::1]:65535".parse().expect("address"));
        row
    }

    #[test]
    fn a_row_comes_back_as_it_was_for_every_outcome() {
        for outcome in Outcome::ALL {
            let row = Row {
                outcome,
                ..sample()
            };
            assert_eq!(Row::decode(&row.encode()), Ok(row));
        }
    }

    #[test]
    fn fields_lie_where_the_layout_says() {
        let bytes = sample().encode();
        assert_eq!(&bytes[10..16], &[0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!((bytes[32], bytes[40]), (15, 1));
        assert_eq!(&bytes[88..96], &[0xff; 8]);
        assert_eq!(u64::from_le_bytes(part(&bytes, 104)), 9 << 40);
        assert_eq!(u32::from_le_bytes(part(&bytes, 124)), 13);
        assert_eq!(u16::from_le_bytes(part(&bytes, 132)), 40000);
        assert_eq!(u16::from_le_bytes(part(&bytes, 136)), 200);
        assert_eq!(&bytes[140..], &[Outcome::ShortBody as u8, 3, 7, 2]);
    }

    #[test]
    fn addresses_come_back_in_their_family() {
        assert_eq!(sample().local().to_string(), "127.0.0.1:40000");
        assert_eq!(sample().remote().to_string(), "[2001:db8::1]:65535");
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let mut bytes = sample().encode();
        bytes[140] = 99;
        assert_eq!(Row::decode(&bytes), Err(RowError::Outcome(99)));
        bytes[143] = 1;
        assert_eq!(Row::decode(&bytes), Err(RowError::Version(1)));
    }

    #[test]
    fn a_row_cut_off_at_the_end_is_left_out() {
        let mut file = sample().encode().to_vec();
        file.extend_from_slice(&sample().encode()[..50]);
        let rows: Vec<Row> = RowReader::new(&file[..])
            .collect::<io::Result<_>>()
            .expect("readable");
        assert_eq!(rows, [sample()]);
    }
}
