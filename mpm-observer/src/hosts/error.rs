//! Why two recordings cannot be joined.

use std::path::PathBuf;

use thiserror::Error;

use crate::recording::RecordingError;

/// Each message is one line and says what to do.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The server's recording cannot be read, or the joined one not be written.
    #[error("{0}")]
    Recording(#[from] RecordingError),
    /// The client's rows cannot be read.
    #[error("{}: {why}", .path.display())]
    Client {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A run of the lab has both sides already.
    #[error("{} is a run of the lab, which has both sides; name a recording of `record`", .0.display())]
    OfLab(PathBuf),
    /// It was joined before.
    #[error("{} is joined already; name the recording that `record` wrote", .0.display())]
    Already(PathBuf),
    /// The two sides did not see the same connections.
    #[error(transparent)]
    NotJoinable(#[from] NotJoinable),
    /// They did, and no offset between the clocks fits.
    #[error(transparent)]
    NoOffset(#[from] NoOffset),
}

/// Why no connection of the client is one of the server's. Nothing is guessed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotJoinable {
    /// One side is empty.
    #[error("not joinable: {0} has no requests")]
    Empty(&'static str),
    /// The client called an address that is not the server's.
    #[error(
        "not joinable: the client called {called}, the server was called at {server} ({client_connections} \
         connections of the client, {server_connections} of the server, none in common): a proxy or \
         NAT in front of the server, or another server"
    )]
    OtherServer {
        /// Where the client's connections went to, an example.
        called: String,
        /// Where the server's came to, an example.
        server: String,
        /// How many there are.
        client_connections: usize,
        /// How many there are.
        server_connections: usize,
    },
    /// The server saw other clients.
    #[error(
        "not joinable: the client called from {client}, the server saw {seen} ({client_connections} \
         connections of the client, {server_connections} of the server, none in common): a proxy or \
         NAT between them, or another client"
    )]
    OtherClient {
        /// Where the client's connections came from, an example.
        client: String,
        /// Whom the server saw, an example.
        seen: String,
        /// How many there are.
        client_connections: usize,
        /// How many there are.
        server_connections: usize,
    },
    /// The addresses fit, the ports do not.
    #[error(
        "not joinable: client {client} and server {server} fit, but no port is in common \
         ({client_connections} connections of the client, {server_connections} of the server): NAT \
         that changes ports, or recorded at different times"
    )]
    OtherPorts {
        /// The client's address.
        client: String,
        /// The server's address and port.
        server: String,
        /// How many there are.
        client_connections: usize,
        /// How many there are.
        server_connections: usize,
    },
}

/// Why no offset between the clocks is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoOffset {
    /// No request was seen by both sides.
    #[error(
        "not joinable: connections are in common, but no answered request, so that the clocks \
         cannot be compared"
    )]
    NoPairs,
    /// Most requests contradict each other.
    #[error(
        "not joinable: no offset between the clocks fits more than {fitting} of {pairs} requests: \
         ports were used again, or the recordings do not belong together"
    )]
    Contradiction {
        /// Requests that were paired.
        pairs: u64,
        /// The most of them that agree on an offset.
        fitting: u64,
    },
}
