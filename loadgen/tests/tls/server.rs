//! A server over TLS that does what a test tells it to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::common::{Connection, OK, Server};

/// The server's side of a connection over TLS.
pub(crate) struct Tls {
    stream: StreamOwned<ServerConnection, TcpStream>,
    pub(crate) number: u64,
    /// What counts the requests; it has the socket, too.
    plain: Connection,
}

impl Tls {
    /// Waits for the next whole request without a body.
    pub(crate) fn request(&mut self) -> bool {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while !bytes.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return false,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
            }
        }
        self.plain.count();
        true
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
    }

    /// Closes as TLS wants it; dropping closes without a word.
    pub(crate) fn say_goodbye(mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
    }

    pub(crate) fn reset(self) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.stream.sock, sockopt::Linger, &linger).expect("SO_LINGER");
    }

    pub(crate) fn stall(mut self) {
        let mut piece = [0; 4096];
        while matches!(self.stream.read(&mut piece), Ok(count) if count > 0) {}
    }
}

/// A server that behaves over TLS as it is told.
pub(crate) struct TlsServer {
    pub(crate) tcp: Server,
}

impl TlsServer {
    pub(crate) fn start(
        tls: Arc<ServerConfig>,
        behaviour: impl Fn(Tls) + Send + Sync + 'static,
    ) -> Self {
        let tcp = Server::start(move |connection| {
            let session = ServerConnection::new(Arc::clone(&tls)).expect("a session");
            behaviour(Tls {
                number: connection.number,
                stream: StreamOwned::new(
                    session,
                    connection.stream.try_clone().expect("a second handle"),
                ),
                plain: connection,
            });
        });
        Self { tcp }
    }

    pub(crate) fn answering(tls: Arc<ServerConfig>) -> Self {
        Self::start(tls, |mut connection| {
            while connection.request() {
                connection.send(OK);
            }
        })
    }

    pub(crate) fn requests(&self) -> u64 {
        self.tcp.requests()
    }
}
