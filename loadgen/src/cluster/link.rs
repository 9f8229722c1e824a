//! The coordinator's end of the connection to one worker.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::AtomicBool;

use super::clock_offset::{ClockOffset, RoundTrip};
use super::error::Trouble;
use super::key::Key;
use super::protocol::{
    FRAME_MAX_BYTES, FrameError, FrameReader, FrameWriter, GREETING_MAX_BYTES, Greeting, Message,
    Order, PROTOCOL, split,
};
use super::{DEFAULT_PORT, HANDSHAKE, IDLE, SILENCE};
use crate::clock::monotonic_ns;

/// Round trips of which the shortest is trusted.
const ROUND_TRIPS: u32 = 40;

/// A worker that is ours.
pub(super) struct Link {
    pub(super) address: String,
    pub(super) reader: FrameReader,
    pub(super) writer: FrameWriter,
    /// Threads that it has to offer.
    pub(super) threads: u16,
}

impl Link {
    /// Connects, and makes the worker ours.
    pub(super) fn open(
        address: &str,
        key: Option<&Key>,
        stop: &AtomicBool,
    ) -> Result<Self, Trouble> {
        let stream = connect(address)?;
        let (mut reader, writer) = split(stream).map_err(FrameError::from)?;
        let mut hear = |idle| reader.message(idle, GREETING_MAX_BYTES, Some(stop));
        let greeting = match hear(HANDSHAKE) {
            Ok(Message::Greeting(greeting)) if greeting.program == PROGRAM => greeting,
            Ok(_) => {
                let error = FrameError::Garbage("another greeting".to_owned());
                return Err(Trouble::NotAWorker(error));
            }
            Err(FrameError::Cancelled) => return Err(FrameError::Cancelled.into()),
            Err(error) => return Err(Trouble::NotAWorker(error)),
        };
        check_version(&greeting)?;
        let proof = match (key, &greeting.nonce) {
            (Some(key), Some(nonce)) => Some(key.proof(nonce)),
            (None, None) => None,
            (None, Some(_)) => return Err(Trouble::KeyMissing),
            (Some(_), None) => return Err(Trouble::KeyUnknown),
        };
        writer.message(&Message::Hello {
            version: VERSION.to_owned(),
            protocol: PROTOCOL,
            proof,
        })?;
        match hear(HANDSHAKE)? {
            Message::Offer { threads } => Ok(Self {
                address: address.to_owned(),
                reader,
                writer,
                threads,
            }),
            Message::Refused { reason } => Err(Trouble::Refused(reason)),
            _ => Err(Trouble::OutOfTurn("no offer")),
        }
    }

    /// Tells it what to do.
    pub(super) fn order(&mut self, order: Order, stop: &AtomicBool) -> Result<(), Trouble> {
        self.writer.message(&Message::Order(Box::new(order)))?;
        match self.reader.message(IDLE, FRAME_MAX_BYTES, Some(stop))? {
            Message::Ready => Ok(()),
            Message::Failed { reason } => Err(Trouble::Failed(reason)),
            _ => Err(Trouble::OutOfTurn("not ready for its order")),
        }
    }
}

/// Compares a worker's clock with ours.
pub(super) fn measure_clock(
    reader: &mut FrameReader,
    writer: &FrameWriter,
) -> Result<ClockOffset, Trouble> {
    let mut trips = Vec::new();
    for id in 0..ROUND_TRIPS {
        let asked_ns = monotonic_ns();
        writer.message(&Message::Ping { id })?;
        match reader.message(SILENCE, FRAME_MAX_BYTES, None)? {
            Message::Pong {
                id: answered,
                clock_ns,
            } if answered == id => trips.push(RoundTrip {
                asked_ns,
                worker_ns: clock_ns,
                answered_ns: monotonic_ns(),
            }),
            _ => return Err(Trouble::OutOfTurn("no answer to a ping")),
        }
    }
    ClockOffset::from_round_trips(&trips).ok_or(Trouble::OutOfTurn("no time"))
}

pub(super) const PROGRAM: &str = "loadgen";
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn check_version(greeting: &Greeting) -> Result<(), Trouble> {
    if (greeting.version.as_str(), greeting.protocol) == (VERSION, PROTOCOL) {
        return Ok(());
    }
    let version = |version: &str, protocol| format!("{version} (protocol {protocol})");
    Err(Trouble::Version {
        theirs: version(&greeting.version, greeting.protocol),
        ours: version(VERSION, PROTOCOL),
    })
}

fn connect(address: &str) -> Result<TcpStream, Trouble> {
    let mut last = std::io::Error::other("the name has no address");
    for addr in with_port(address)
        .to_socket_addrs()
        .map_err(Trouble::Resolve)?
    {
        match TcpStream::connect_timeout(&addr, HANDSHAKE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Trouble::Connect(last))
}

/// The address with the usual port, if it has none.
fn with_port(address: &str) -> String {
    let is_bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    let host_ends = address.rfind(']').unwrap_or(0);
    if is_bare_v6 {
        format!("[{address}]:{DEFAULT_PORT}")
    } else if address[host_ends..].contains(':') {
        address.to_owned()
    } else {
        format!("{address}:{DEFAULT_PORT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (given, meant) in [
            ("host", "host:9911"),
            ("host:1", "host:1"),
            ("10.0.0.1", "10.0.0.1:9911"),
            ("::1", "[::1]:9911"),
            ("[::1]", "[::1]:9911"),
            ("[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(with_port(given), meant);
        }
    }

    #[test]
    fn another_version_is_named() {
        let greeting = Greeting {
            program: PROGRAM.to_owned(),
            version: "9.9.9".to_owned(),
            protocol: PROTOCOL,
            nonce: None,
        };
        let text = check_version(&greeting).expect_err("refused").to_string();
        assert!(text.contains("9.9.9") && text.contains(VERSION), "{text}");
    }
}
