//! One slow client, without I/O: what it has sent and read, and what that makes of it.

use std::net::SocketAddr;

use super::{Fate, HeldRow, Kind};
use crate::response::ResponseReader;
use crate::{Outcome, Row};

/// Most that is read of a connection in one turn: a peer that sends without end must keep neither
/// the other connections nor the end waiting.
const TURN_BYTES: usize = 1 << 20;
/// How often a slow reader reads.
const READ_EVERY_NS: u64 = 100_000_000;

/// What is to be done with a connection after something has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Keep it.
    Keep,
    /// Close it: it has ended.
    Close,
}

/// The state of one slow client.
#[derive(Debug)]
pub(super) struct Connection {
    kind: Kind,
    row: Row,
    reader: ResponseReader,
    /// What became of it; `None` while it is on its way.
    fate: Option<Fate>,
    /// When it has something to do again without being woken; 0: never.
    due_ns: u64,
    /// Up to when its reading is paid for.
    paid_ns: u64,
    /// Whether its turn ended before all was read that had come.
    unread: bool,
}

impl Connection {
    pub(super) fn new(kind: Kind, slot: u32, remote: SocketAddr, now_ns: u64) -> Self {
        let mut row = Row {
            slot,
            start_ns: now_ns,
            connect_start_ns: now_ns,
            ..Row::EMPTY
        };
        row.set_remote(remote);
        Self {
            kind,
            row,
            reader: ResponseReader::new(false),
            fate: None,
            due_ns: 0,
            paid_ns: 0,
            unread: false,
        }
    }

    /// Whether it has to be read without being woken.
    pub(super) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Notes that a turn of reading has ended, with its whole allowance used or not. A slow reader
    /// leaves bytes unread by its nature.
    pub(super) fn turn_ended(&mut self, all_used: bool) {
        self.unread = all_used && !matches!(self.kind, Kind::SlowReader { .. });
    }

    pub(super) fn set_local(&mut self, addr: SocketAddr) {
        self.row.set_local(addr);
    }

    /// Bytes that the kernel has taken.
    pub(super) fn sent_bytes(&self) -> usize {
        self.row.request_bytes as usize
    }

    /// When it has something to do without being woken.
    pub(super) fn due_ns(&self) -> Option<u64> {
        (self.due_ns != 0).then_some(self.due_ns)
    }

    /// What has become of it; `None` while it is on its way.
    pub(super) fn fate(&self) -> Option<Fate> {
        self.fate
    }

    /// Whether it came into its state, then or before.
    pub(super) fn was_held(&self) -> bool {
        matches!(self.fate, Some(Fate::Held | Fate::Ended | Fate::Finished))
    }

    /// Notes that the kernel took bytes, `whole` being what there is to send at first.
    pub(super) fn sent(&mut self, bytes: usize, whole: usize, now_ns: u64) {
        if self.row.sent_ns == 0 {
            self.row.connected_ns = now_ns;
            self.row.sent_ns = now_ns;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.row.request_bytes = self.row.request_bytes.saturating_add(bytes);
        if self.sent_bytes() < whole {
            return;
        }
        match self.kind {
            Kind::HalfHeader { every } => {
                self.fate.get_or_insert(Fate::Held);
                let every_ns = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
                self.due_ns = now_ns.saturating_add(every_ns);
            }
            Kind::IdleKeepAlive => {}
            Kind::SlowReader { .. } => {
                self.paid_ns = now_ns;
                self.due_ns = now_ns + READ_EVERY_NS;
            }
        }
    }

    /// How many bytes may be read now.
    pub(super) fn allowance(&mut self, now_ns: u64) -> usize {
        let Kind::SlowReader { bytes_per_s } = self.kind else {
            return TURN_BYTES;
        };
        if self.due_ns == 0 || now_ns < self.due_ns {
            return 0;
        }
        self.due_ns = now_ns + READ_EVERY_NS;
        // What it did not take within a second is not made up for.
        let since_ns = now_ns.saturating_sub(self.paid_ns).min(1_000_000_000);
        let bytes = u64::from(bytes_per_s) * since_ns / 1_000_000_000;
        if bytes > 0 {
            self.paid_ns = now_ns;
        }
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Takes bytes of the answer.
    pub(super) fn read(&mut self, bytes: &[u8], now_ns: u64) -> Next {
        if self.row.first_byte_ns == 0 {
            self.row.first_byte_ns = now_ns;
        }
        if self.reader.feed(bytes).is_err() {
            return self.end(Outcome::Malformed, 0, now_ns);
        }
        let complete = self.reader.is_complete();
        if complete {
            self.row.last_byte_ns = now_ns;
        }
        let good = (1..400).contains(&self.reader.status());
        match self.kind {
            // An answer to half a head is the server's refusal; the end of the stream follows.
            Kind::HalfHeader { .. } => Next::Keep,
            Kind::IdleKeepAlive if !complete => Next::Keep,
            Kind::IdleKeepAlive if good && self.reader.keep_alive() => {
                self.fate.get_or_insert(Fate::Held);
                Next::Keep
            }
            Kind::SlowReader { .. } if good && !complete => {
                if self.reader.body_bytes() > 0 {
                    self.fate.get_or_insert(Fate::Held);
                }
                Next::Keep
            }
            Kind::SlowReader { .. } if good => {
                self.fate = Some(Fate::Finished);
                self.end(Outcome::Ok, 0, now_ns)
            }
            Kind::SlowReader { .. } if !complete && self.reader.status() == 0 => Next::Keep,
            Kind::IdleKeepAlive | Kind::SlowReader { .. } => self.end(Outcome::Non2xx, 0, now_ns),
        }
    }

    /// The server closed the connection, or it failed with `errno`.
    pub(super) fn broken(&mut self, errno: i32, now_ns: u64) -> Next {
        let answered = self.row.first_byte_ns != 0;
        let outcome = match (self.row.sent_ns, errno) {
            (0, libc::ECONNREFUSED) => Outcome::Refused,
            (0, _) => Outcome::ConnectFailed,
            // It had its answer; the server just did not keep it any longer.
            (_, 0) if self.kind == Kind::IdleKeepAlive && self.was_held() => Outcome::Ok,
            (_, 0) if answered => Outcome::ShortBody,
            (_, 0) => Outcome::ClosedEarly,
            _ if answered => Outcome::ResetInBody,
            _ => Outcome::ResetBeforeFirstByte,
        };
        self.end(outcome, errno, now_ns)
    }

    fn end(&mut self, outcome: Outcome, errno: i32, now_ns: u64) -> Next {
        self.fate = Some(match self.fate {
            Some(Fate::Held) => Fate::Ended,
            Some(fate) => fate,
            None => Fate::NotHeld,
        });
        self.due_ns = 0;
        self.unread = false;
        self.row.outcome = outcome;
        self.row.errno = u16::try_from(errno).unwrap_or(u16::MAX);
        self.row.end_ns = now_ns;
        Next::Close
    }

    /// What is known of it when all are let go.
    pub(super) fn let_go(&self, now_ns: u64) -> HeldRow {
        let ended = self.row.end_ns != 0;
        HeldRow {
            row: Row {
                end_ns: if ended { self.row.end_ns } else { now_ns },
                status: self.reader.status(),
                header_bytes: u32::try_from(self.reader.header_bytes()).unwrap_or(u32::MAX),
                body_bytes: self.reader.body_bytes(),
                ..self.row
            },
            fate: self.fate.unwrap_or(Fate::NotHeld),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    const SECOND_NS: u64 = 1_000_000_000;

    fn connection(kind: Kind) -> Connection {
        let remote = "127.0.0.1:80".parse().expect("address");
        Connection::new(kind, 3, remote, 100)
    }

    #[test]
    fn half_a_head_is_held_once_it_is_sent_and_goes_on_byte_by_byte() {
        let every = Duration::from_secs(1);
        let mut half = connection(Kind::HalfHeader { every });
        half.sent(10, 20, 200);
        assert!(!half.was_held());
        half.sent(10, 20, 300);
        assert!(half.was_held());
        assert_eq!(half.due_ns(), Some(300 + SECOND_NS));
        let row = half.let_go(900);
        assert_eq!(
            (row.fate, row.row.sent_ns, row.row.end_ns),
            (Fate::Held, 200, 900)
        );
        assert_eq!(half.broken(0, 500), Next::Close);
        let row = half.let_go(900);
        assert_eq!((row.fate, row.row.end_ns), (Fate::Ended, 500));
        assert_eq!(row.row.outcome, Outcome::ClosedEarly);
    }

    #[test]
    fn an_idle_connection_is_held_after_a_whole_answer_that_keeps_it() {
        let mut idle = connection(Kind::IdleKeepAlive);
        idle.sent(20, 20, 200);
        assert!(!idle.was_held());
        assert_eq!(idle.read(&ANSWER[..10], 300), Next::Keep);
        assert!(!idle.was_held());
        assert_eq!(idle.read(&ANSWER[10..], 310), Next::Keep);
        assert!(idle.was_held());
        let row = idle.let_go(900).row;
        assert_eq!((row.first_byte_ns, row.last_byte_ns), (300, 310));
        assert_eq!((row.status, row.body_bytes), (200, 4));
        assert_eq!(idle.broken(0, 950), Next::Close);
        let ended = idle.let_go(960);
        assert_eq!((ended.fate, ended.row.outcome), (Fate::Ended, Outcome::Ok));

        let mut refused = connection(Kind::IdleKeepAlive);
        refused.sent(20, 20, 200);
        let busy = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(refused.read(busy, 300), Next::Close);
        assert_eq!(refused.let_go(900).fate, Fate::NotHeld);
    }

    #[test]
    fn a_slow_reader_reads_at_its_rate_and_is_held_from_the_first_byte_of_the_body() {
        let mut slow = connection(Kind::SlowReader { bytes_per_s: 1000 });
        slow.sent(20, 20, SECOND_NS);
        assert_eq!(slow.allowance(SECOND_NS + 1), 0);
        assert_eq!(slow.allowance(SECOND_NS + READ_EVERY_NS), 100);
        assert_eq!(slow.allowance(SECOND_NS + READ_EVERY_NS), 0);
        // After a long pause there is a second's worth and no more.
        assert_eq!(slow.allowance(9 * SECOND_NS), 1000);
        assert_eq!(slow.read(&ANSWER[..38], 300), Next::Keep);
        assert!(!slow.was_held());
        assert_eq!(slow.read(&ANSWER[38..41], 310), Next::Keep);
        assert!(slow.was_held());
        assert_eq!(slow.read(&ANSWER[41..], 320), Next::Close);
        assert_eq!(slow.let_go(900).fate, Fate::Finished);
    }

    #[test]
    fn a_peer_that_sends_without_end_is_read_in_turns() {
        let mut idle = connection(Kind::IdleKeepAlive);
        idle.sent(20, 20, 200);
        assert_eq!(idle.allowance(300), TURN_BYTES);
        idle.turn_ended(true);
        assert!(idle.is_unread());
        idle.turn_ended(false);
        assert!(!idle.is_unread());
        idle.turn_ended(true);
        assert_eq!(idle.broken(0, 400), Next::Close);
        assert!(!idle.is_unread());
        // One that is slow waits for its time instead.
        let mut slow = connection(Kind::SlowReader { bytes_per_s: 1000 });
        slow.turn_ended(true);
        assert!(!slow.is_unread());
    }

    #[test]
    fn one_that_never_got_in_is_not_held() {
        let mut refused = connection(Kind::IdleKeepAlive);
        assert_eq!(refused.broken(libc::ECONNREFUSED, 200), Next::Close);
        let row = refused.let_go(900);
        assert_eq!(
            (row.fate, row.row.outcome),
            (Fate::NotHeld, Outcome::Refused)
        );
        let mut waiting = connection(Kind::IdleKeepAlive);
        waiting.sent(20, 20, 200);
        let row = waiting.let_go(900);
        assert_eq!(
            (row.fate, row.row.outcome),
            (Fate::NotHeld, Outcome::Aborted)
        );
    }
}
