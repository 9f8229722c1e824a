//! The few requests that the lab itself sends, to see whether httpd is ready and how full it is.

use std::{cell::OnceCell, io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

/// An answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// An answer to a probe is small; more than this is not one.
const MAX_ANSWER_BYTES: usize = 1 << 20;

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// Asks for a path on a connection of its own and reads the answer to its end. `local_port` is
/// set as soon as there is a connection: by it the request is found in the kernel's records.
///
/// # Errors
/// When no whole answer arrives within `patience`, or what arrives is no HTTP.
pub fn get(
    addr: SocketAddr,
    path: &str,
    patience: Duration,
    local_port: &mut u16,
) -> io::Result<Answer> {
    RUNTIME.with(|cell| {
        let runtime = match cell.get() {
            Some(runtime) => runtime,
            None => {
                let new = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                cell.get_or_init(|| new)
            }
        };
        runtime.block_on(async {
            timeout(patience, ask(addr, path, local_port))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    })
}

async fn ask(addr: SocketAddr, path: &str, local_port: &mut u16) -> io::Result<Answer> {
    let stream = TcpStream::connect(addr).await?;
    *local_port = stream.local_addr()?.port();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, addr.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(io::Error::other)?
            .to_bytes();
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    beside(connection, exchange).await
}

/// Drives a connection beside an exchange on it, and ends with that.
pub(crate) async fn beside<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    exchange: impl Future<Output = T>,
) -> T {
    tokio::pin!(exchange, connection);
    let mut driving = true;
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            _ = &mut connection, if driving => driving = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    fn answer_with(bytes: &'static [u8]) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, peer) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(bytes).unwrap();
            peer.port()
        });
        let mut port = 0;
        let answer = get(addr, "/x", Duration::from_secs(5), &mut port);
        assert_eq!(server.join().unwrap(), port);
        answer
    }

    #[test]
    fn status_and_body_are_told_apart() {
        let answer = answer_with(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno such");
        assert_eq!(
            answer.unwrap(),
            Answer {
                status: 404,
                body: "no such".to_owned()
            }
        );
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        assert!(answer_with(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(answer_with(b"").is_err());
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut port = 0;
        let error = get(addr, "/", Duration::from_millis(20), &mut port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_ne!(port, 0);
    }
}
