//! Clients that come and go in every way that leaves something to be cleaned up.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use nix::{libc::linger, sys::socket::setsockopt, sys::socket::sockopt::Linger};

/// How long an answer may take. Those of a child that is ended at once never come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two connections of a client, so that the server is the one that is worn out.
const PAUSE: Duration = Duration::from_millis(1);
/// After a failed one, as while the server restarts.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);
const GET: &[u8] = b"GET /alive.txt HTTP/1.1\r\nHost: soak\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET /alive.txt HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n";

/// What the clients did.
#[derive(Debug, Default)]
pub struct Churned {
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Connections that were made.
    pub connections: AtomicU64,
    /// Connections that could not be made, or ended before the answer.
    pub failed: AtomicU64,
}

/// Makes connections of all kinds, one after another, until `stop`. Where the server listens is
/// asked before each.
pub(super) fn churn(
    seed: u64,
    server: impl Fn() -> Option<SocketAddr>,
    churned: &Churned,
    stop: &AtomicBool,
) {
    let mut turn = seed;
    while !stop.load(Ordering::Relaxed) {
        let outcome = match server() {
            Some(address) => one_connection(address, turn, churned),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        turn += 1;
        thread::sleep(if outcome.is_ok() {
            PAUSE
        } else {
            churned.failed.fetch_add(1, Ordering::Relaxed);
            PAUSE_AFTER_FAILURE
        });
    }
}

/// The kinds follow one another; clients with other seeds are at others.
fn one_connection(address: SocketAddr, turn: u64, churned: &Churned) -> io::Result<()> {
    let mut stream = connect(address)?;
    churned.connections.fetch_add(1, Ordering::Relaxed);
    let mut ask = |request: &[u8]| {
        stream.write_all(request)?;
        read_answer(&mut stream)?;
        churned.answered.fetch_add(1, Ordering::Relaxed);
        Ok::<(), io::Error>(())
    };
    match turn % 6 {
        0 => ask(GET_AND_CLOSE),
        1 => {
            for _ in 0..1 + turn % 5 {
                ask(GET)?;
            }
            Ok(())
        }
        // Answered, and reset by the client.
        2 => {
            ask(GET)?;
            reset(&stream)
        }
        // Half a request, and reset.
        3 => {
            stream.write_all(&GET[..GET.len() / 2])?;
            reset(&stream)
        }
        // A whole one, and gone before the answer.
        4 => {
            stream.write_all(GET)?;
            reset(&stream)
        }
        // Never a byte.
        _ => Ok(()),
    }
}

pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// A connection that was answered and is kept.
pub(super) fn kept(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(GET)?;
    read_answer(&mut stream)?;
    Ok(stream)
}

/// Makes closing the connection a reset.
fn reset(stream: &TcpStream) -> io::Result<()> {
    let now = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(&stream.as_fd(), Linger, &now)?)
}

/// Reads one answer, whose body is shorter than a packet.
fn read_answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut answer = [0; 4096];
    let mut length = 0;
    loop {
        let free = answer
            .get_mut(length..)
            .filter(|free| !free.is_empty())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        match stream.read(free)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
        if is_complete(&answer[..length]) {
            return Ok(());
        }
    }
}

fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
        assert!(is_complete(answer));
        for length in 0..answer.len() {
            assert!(!is_complete(&answer[..length]), "{length}");
        }
    }
}
