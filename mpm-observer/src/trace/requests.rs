//! Requests in a trace: from the arrival of their bytes to the last send of the answer, in pieces
//! on the tasks that served them.
//!
//! What belongs to a request is said as in `mpm_observer_common::ConnState`: bytes that are read
//! after an answer begin the next one.

use std::collections::HashMap;

use mpm_observer_common::{TraceEvent, TraceKind};

/// Work of one task on one request without work of another task on it, or of this task on
/// another request, in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The task.
    pub tid: u32,
    /// Its first read or send.
    pub from_ns: u64,
    /// Its last read or send.
    pub to_ns: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The client's port.
    pub remote_port: u16,
    /// Which request of its connection, from 0; `None` for a connection that is older than the
    /// window.
    pub ordinal: Option<u32>,
    /// When the connection was put into the accept queue, for its first request.
    pub queued_ns: Option<u64>,
    /// When which task accepted it, for its first request.
    pub accepted: Option<(u64, u32)>,
    /// When its first bytes arrived.
    pub arrival_ns: Option<u64>,
    /// When a task first read bytes of it.
    pub pickup_ns: Option<u64>,
    /// When the last send returned.
    pub last_send_ns: Option<u64>,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// The work on it, in order.
    pub pieces: Vec<Piece>,
    /// Whether its end was seen: the next request, or the end of the connection.
    pub ended: bool,
}

impl Request {
    /// Whether all of it lies in the window: its pick-up, its answer and its end were seen.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.pickup_ns.is_some() && self.last_send_ns.is_some() && self.ended
    }
}

/// The requests that were worked on or arrived, in the order of their first event. `events` are
/// ascending in time.
#[must_use]
pub fn requests(events: &[TraceEvent]) -> Vec<Request> {
    let mut all = Requests::default();
    for event in events {
        if let Some(kind) = TraceKind::from_word(event.event)
            && event.conn != 0
        {
            all.step(kind, event);
        }
    }
    all.requests
        .retain(|request| request.arrival_ns.is_some() || !request.pieces.is_empty());
    all.requests
}

#[derive(Default)]
struct Conn {
    remote_port: u16,
    /// Index of the current request.
    current: Option<usize>,
    /// The ordinal of the next one, if that is known.
    next_ordinal: Option<u32>,
    /// Arrival of bytes after the pick-up of the current one.
    next_arrival_ns: Option<u64>,
}

#[derive(Default)]
struct Requests {
    requests: Vec<Request>,
    conns: HashMap<u64, Conn>,
    /// The request that a task last worked on.
    last_of_task: HashMap<u32, usize>,
}

impl Requests {
    fn step(&mut self, kind: TraceKind, event: &TraceEvent) {
        let at_ns = event.time_ns;
        let known = self.conns.get(&event.conn);
        let is_new = kind == TraceKind::Established
            || known.is_none_or(|conn| conn.remote_port != event.remote_port);
        if is_new {
            // A socket's memory is used again: the end of the one before is missing.
            let conn = Conn {
                remote_port: event.remote_port,
                next_ordinal: (kind == TraceKind::Established).then_some(0),
                ..Conn::default()
            };
            self.conns.insert(event.conn, conn);
        }
        match kind {
            TraceKind::Queued => {
                let index = self.current(event);
                self.requests[index].queued_ns = Some(at_ns);
            }
            TraceKind::Accepted => {
                let index = self.current(event);
                self.requests[index].accepted = Some((at_ns, event.pid));
            }
            TraceKind::Arrived => self.arrived(event),
            TraceKind::Read => self.read(event),
            TraceKind::Sent => {
                let index = self.current(event);
                self.work(index, event);
                if event.value > 0 {
                    self.requests[index].last_send_ns = Some(at_ns);
                }
            }
            TraceKind::Ended => {
                let conn = self.conns.remove(&event.conn);
                if let Some(index) = conn.and_then(|conn| conn.current) {
                    self.requests[index].ended = true;
                }
            }
            _ => {}
        }
    }

    /// The current request of the event's connection; begins one if there is none.
    fn current(&mut self, event: &TraceEvent) -> usize {
        let conn = self.conns.entry(event.conn).or_default();
        if let Some(index) = conn.current {
            return index;
        }
        let index = self.requests.len();
        self.requests.push(Request {
            remote_port: conn.remote_port,
            ordinal: conn.next_ordinal,
            ..Request::default()
        });
        conn.next_ordinal = conn.next_ordinal.map(|ordinal| ordinal + 1);
        conn.current = Some(index);
        index
    }

    fn arrived(&mut self, event: &TraceEvent) {
        let index = self.current(event);
        let request = &mut self.requests[index];
        if !request.pieces.is_empty() {
            if let Some(conn) = self.conns.get_mut(&event.conn) {
                conn.next_arrival_ns.get_or_insert(event.time_ns);
            }
        } else if request.arrival_ns.is_none() {
            request.arrival_ns = Some(event.time_ns);
        }
    }

    fn read(&mut self, event: &TraceEvent) {
        let mut index = self.current(event);
        // Also one of which only sends were seen was picked up, before the window.
        let arrival_ns = self
            .conns
            .get_mut(&event.conn)
            .and_then(|conn| conn.next_arrival_ns.take());
        let is_next = self.requests[index].last_send_ns.is_some();
        if is_next {
            self.requests[index].ended = true;
            if let Some(conn) = self.conns.get_mut(&event.conn) {
                conn.current = None;
            }
            index = self.current(event);
            self.requests[index].arrival_ns = arrival_ns;
        }
        let request = &mut self.requests[index];
        // On a connection that is older than the window, bytes whose arrival was not seen may
        // also be further ones of a request that was picked up before.
        let certain = is_next || request.arrival_ns.is_some() || request.ordinal.is_some();
        if request.pieces.is_empty() && certain {
            request.pickup_ns = Some(event.time_ns);
        }
        self.work(index, event);
    }

    fn work(&mut self, index: usize, event: &TraceEvent) {
        let request = &mut self.requests[index];
        let last_of_task = self.last_of_task.insert(event.pid, index);
        let goes_on = last_of_task == Some(index)
            && request
                .pieces
                .last()
                .is_some_and(|piece| piece.tid == event.pid);
        if !goes_on {
            request.pieces.push(Piece {
                tid: event.pid,
                from_ns: event.time_ns,
                to_ns: event.time_ns,
                bytes_in: 0,
                bytes_out: 0,
            });
        }
        let bytes = u64::try_from(event.value).unwrap_or(0);
        if let Some(piece) = request.pieces.last_mut() {
            piece.to_ns = event.time_ns;
            if event.event == TraceKind::Read as u32 {
                piece.bytes_in += bytes;
                request.bytes_in += bytes;
            } else {
                piece.bytes_out += bytes;
                request.bytes_out += bytes;
            }
        }
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
