//! The columns of a table of rows, in one place for all formats.

use crate::Row;

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// Where its values come from.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Nanoseconds of CLOCK_MONOTONIC; 0 is no value.
    TimeNs(fn(&Row) -> u64),
    /// A number from 0 on, which fits into so many bits.
    Count(Bits, fn(&Row) -> u64),
    /// A number of 16 bits of which 0 is no value.
    Number(fn(&Row) -> u16),
    /// One of the row's flags.
    Flag(u8),
    /// An IP address as text; all zero is no value.
    Address(Side),
    /// The outcome's name.
    Outcome,
    /// The same for all rows: what leads to the wall clock.
    WallOffsetNs,
}

/// The width of a number.
#[derive(Clone, Copy)]
pub(super) enum Bits {
    B16,
    B32,
    B64,
}

/// An end of the connection.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Local,
    Remote,
}

impl Side {
    pub(super) const fn octets(self, row: &Row) -> [u8; 16] {
        match self {
            Self::Local => row.local_ip,
            Self::Remote => row.remote_ip,
        }
    }

    /// The address as text; `None` when there is none.
    pub(super) fn text(self, row: &Row) -> Option<String> {
        if self.octets(row) == [0; 16] {
            return None;
        }
        let end = match self {
            Self::Local => row.local(),
            Self::Remote => row.remote(),
        };
        Some(end.ip().to_string())
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

/// The columns in their order: the connection, its place in the run, times, how it ended.
pub(super) const COLUMNS: [Column; 30] = [
    column("local_ip", Kind::Address(Side::Local)),
    column("local_port", Kind::Number(|row| row.local_port)),
    column("remote_ip", Kind::Address(Side::Remote)),
    column("remote_port", Kind::Number(|row| row.remote_port)),
    column("thread", Kind::Count(Bits::B16, |row| row.thread.into())),
    column("slot", Kind::Count(Bits::B32, |row| row.slot.into())),
    column("ordinal", Kind::Count(Bits::B32, |row| row.ordinal.into())),
    column("url", Kind::Count(Bits::B16, |row| row.url.into())),
    column("intended_ns", Kind::TimeNs(|row| row.intended_ns)),
    column("start_ns", Kind::TimeNs(|row| row.start_ns)),
    column("connect_start_ns", Kind::TimeNs(|row| row.connect_start_ns)),
    column("connected_ns", Kind::TimeNs(|row| row.connected_ns)),
    column("sent_ns", Kind::TimeNs(|row| row.sent_ns)),
    column("loop_wake_ns", Kind::TimeNs(|row| row.loop_wake_ns)),
    column("first_byte_ns", Kind::TimeNs(|row| row.first_byte_ns)),
    column("last_byte_ns", Kind::TimeNs(|row| row.last_byte_ns)),
    column("end_ns", Kind::TimeNs(|row| row.end_ns)),
    column("outcome", Kind::Outcome),
    column("detail", Kind::Number(|row| row.detail.into())),
    column("status", Kind::Number(|row| row.status)),
    column("errno", Kind::Number(|row| row.errno)),
    column(
        "request_bytes",
        Kind::Count(Bits::B32, |row| row.request_bytes.into()),
    ),
    column(
        "header_bytes",
        Kind::Count(Bits::B32, |row| row.header_bytes.into()),
    ),
    column("body_bytes", Kind::Count(Bits::B64, |row| row.body_bytes)),
    column("retried", Kind::Flag(Row::RETRIED)),
    column("reused", Kind::Flag(Row::REUSED)),
    column("kept", Kind::Flag(Row::KEPT)),
    column("warm_up", Kind::Flag(Row::WARM_UP)),
    column("waited", Kind::Flag(Row::WAITED)),
    column("wall_offset_ns", Kind::WallOffsetNs),
];
