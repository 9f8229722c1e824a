//! HTTP/2, over TLS and in the clear.

#[path = "common/certificates.rs"]
mod certificates;
mod common;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use certificates::{Authority, Kind};
use common::stopped::{self, StoppedClient};
use common::{OK, Server, check_sent, outcomes, run};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hyper::body::Bytes;
use hyper::{Request, Response};
use loadgen::{Config, EngineKind, Malformed, Outcome, Summary, TlsFailure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

type Session<S> = h2::server::Connection<S, Bytes>;
type Respond = SendResponse<Bytes>;

/// What a server does with the requests of a connection.
trait Behaviour: Clone + Send + Sync + 'static {
    /// Handles the request with this number in its connection, from 0. `false`: no more
    /// requests are taken on the connection, in the orderly way.
    fn handle(
        &self,
        number: u64,
        request: Request<RecvStream>,
        respond: Respond,
    ) -> impl Future<Output = bool> + Send;
}

impl<F, Fut> Behaviour for F
where
    F: Fn(u64, Request<RecvStream>, Respond) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = bool> + Send,
{
    fn handle(
        &self,
        number: u64,
        request: Request<RecvStream>,
        respond: Respond,
    ) -> impl Future<Output = bool> + Send {
        self(number, request, respond)
    }
}

/// A server that speaks HTTP/2 and nothing else; it ends with the test.
struct Http2Server {
    addr: SocketAddr,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Http2Server {
    fn start(tls: Option<Arc<ServerConfig>>, behaviour: impl Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (requests, connections) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let counts = (Arc::clone(&requests), Arc::clone(&connections));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counts.1.fetch_add(1, Ordering::SeqCst);
                let (requests, behaviour) = (Arc::clone(&counts.0), behaviour.clone());
                match tls.clone() {
                    None => {
                        tokio::spawn(serve(stream, requests, behaviour));
                    }
                    Some(tls) => {
                        tokio::spawn(async move {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream, requests, behaviour).await;
                            }
                        });
                    }
                }
            }
        });
        Self {
            addr,
            requests,
            connections,
            _runtime: runtime,
        }
    }

    fn counts(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        (count(&self.requests), count(&self.connections))
    }

    fn config(&self, requests: u64, concurrency: u32) -> Config {
        let mut config = common::config(self.addr, requests, concurrency);
        config.http2 = true;
        config.keep_alive = true;
        config
    }
}

async fn serve<S>(stream: S, requests: Arc<AtomicU64>, behaviour: impl Behaviour)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(mut session): Result<Session<S>, _> = h2::server::handshake(stream).await else {
        return;
    };
    let mut number = 0;
    while let Some(Ok((request, respond))) = session.accept().await {
        requests.fetch_add(1, Ordering::SeqCst);
        let behaviour = behaviour.clone();
        let handled = tokio::spawn(async move { behaviour.handle(number, request, respond).await });
        number += 1;
        // The session moves its bytes only while it is asked for the next request.
        tokio::pin!(handled);
        loop {
            tokio::select! {
                goes_on = &mut handled => {
                    if !goes_on.unwrap_or(false) {
                        session.graceful_shutdown();
                    }
                    break;
                }
                next = session.accept() => {
                    assert!(!matches!(next, Some(Ok(_))), "one request at a time");
                    if next.is_none() {
                        return;
                    }
                }
            }
        }
    }
}

/// Answers with a body of so many bytes.
async fn answer(mut respond: Respond, status: u16, body_bytes: usize) {
    let head = Response::builder().status(status).body(()).expect("good");
    let Ok(mut body) = respond.send_response(head, body_bytes == 0) else {
        return;
    };
    if body_bytes > 0 {
        let _ = body.send_data(vec![b'x'; body_bytes].into(), true);
    }
}

async fn hello(_: u64, _: Request<RecvStream>, respond: Respond) -> bool {
    answer(respond, 200, 5).await;
    true
}

fn all_ok(server: &Http2Server, config: &Config, body_bytes: u64) -> Summary {
    let (summary, rows) = run(config);
    let requests = config.requests.expect("a number");
    assert_eq!(outcomes(&summary), [(Outcome::Ok, requests)]);
    assert_eq!(server.counts().0, requests);
    for row in rows {
        assert_eq!((row.status, row.body_bytes), (200, body_bytes));
    }
    summary
}

#[test]
fn prior_knowledge_sends_all_requests_over_one_connection_a_slot() {
    let server = Http2Server::start(None, hello);
    let summary = all_ok(&server, &server.config(300, 4), 5);
    assert_eq!(summary.engine, EngineKind::Hyper);
    assert_eq!((summary.connections_opened, server.counts().1), (4, 4));
    assert_eq!(summary.keep_alive_answers, 300);
}

#[test]
fn without_keep_alive_every_request_has_a_connection_of_its_own() {
    let server = Http2Server::start(None, hello);
    let mut config = server.config(100, 4);
    config.keep_alive = false;
    let summary = all_ok(&server, &config, 5);
    assert_eq!((summary.connections_opened, server.counts().1), (100, 100));
}

#[test]
fn over_tls_it_is_agreed_on_by_alpn() {
    let authority = Authority::new();
    let tls = authority.server(&Kind::GOOD, &["http/1.1", "h2"]);
    let server = Http2Server::start(Some(tls), hello);
    let mut config = server.config(300, 4);
    authority.trust(&mut config);
    config.threads = 2;
    let summary = all_ok(&server, &config, 5);
    assert_eq!(summary.connections_opened, 4);
}

#[test]
fn a_server_that_does_not_offer_it_is_named() {
    let authority = Authority::new();
    for protocols in [&["http/1.1"][..], &[]] {
        let tls = authority.server(&Kind::GOOD, protocols);
        let server = Http2Server::start(Some(tls), hello);
        let mut config = server.config(20, 4);
        authority.trust(&mut config);
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::ConnectFailed, 20)]);
        assert!(summary.tls_failure.is_some());
        assert!(
            rows.iter()
                .all(|row| row.detail == TlsFailure::NoHttp2 as u8)
        );
    }
}

#[test]
fn the_request_arrives_as_it_was_meant() {
    let server = Http2Server::start(
        None,
        |_, request: Request<RecvStream>, respond| async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = 0;
            while let Some(Ok(piece)) = body.data().await {
                bytes += piece.len();
                let _ = body.flow_control().release_capacity(piece.len());
            }
            let header = |name: &str| head.headers.get(name).map(|value| value.as_bytes());
            let good = head.method == "POST"
                && head.uri == "http://example.org/a?b"
                && header("x-test") == Some(b"c")
                && header("content-length") == Some(b"3000000")
                && header("user-agent").is_some_and(|name| name.starts_with(b"loadgen/"))
                && bytes == 3_000_000;
            answer(respond, if good { 200 } else { 400 }, 5).await;
            true
        },
    );
    let mut config = server.config(20, 2);
    config.targets[0].target.path = "/a?b".into();
    config.method = "POST".into();
    config.body = vec![b'x'; 3_000_000];
    config.headers = vec![
        ("Host".into(), "example.org".into()),
        ("X-Test".into(), "c".into()),
    ];
    let summary = all_ok(&server, &config, 5);
    assert!(summary.bytes_sent > 20 * 3_000_000);
}

#[test]
fn large_bodies_are_counted_to_the_byte() {
    let server = Http2Server::start(None, |_, _, respond| async {
        answer(respond, 200, 9_000_001).await;
        true
    });
    let summary = all_ok(&server, &server.config(20, 4), 9_000_001);
    assert_eq!(summary.connections_opened, 4);
}

#[test]
fn statuses_of_400_and_above_are_told_apart_from_failures() {
    let server = Http2Server::start(None, |_, _, respond| async {
        answer(respond, 503, 0).await;
        true
    });
    let (summary, _) = run(&server.config(30, 3));
    assert_eq!(outcomes(&summary), [(Outcome::Non2xx, 30)]);
}

#[test]
fn a_connection_that_takes_no_more_requests_is_followed_by_a_new_one() {
    let server = Http2Server::start(None, |number, _, respond| async move {
        answer(respond, 200, 5).await;
        number < 2
    });
    let (summary, _) = run(&server.config(60, 2));
    // Until the client knows it, it goes on; what the server did not look at is sent again.
    assert_eq!(summary.outcomes.get(Outcome::Ok), 60);
    assert_eq!((summary.failed(), server.counts().0), (0, 60));
    assert!(summary.connections_opened > 2);
}

#[test]
fn a_reset_stream_is_told_apart_by_when_it_comes() {
    let before = Http2Server::start(None, |_, _, mut respond: Respond| async move {
        respond.send_reset(Reason::INTERNAL_ERROR);
        true
    });
    let (summary, rows) = run(&before.config(30, 3));
    assert_eq!(outcomes(&summary), [(Outcome::ResetBeforeFirstByte, 30)]);
    assert!(rows.iter().all(|row| row.errno == 0 && row.status == 0));
    let after = Http2Server::start(None, |_, _, mut respond: Respond| async move {
        let Ok(mut body) = respond.send_response(Response::new(()), false) else {
            return true;
        };
        // More than a client takes without having read the head.
        let mut sent_bytes = 0;
        while sent_bytes < 9_000_000 {
            body.reserve_capacity(65_536);
            let Some(Ok(bytes)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else {
                return true;
            };
            let _ = body.send_data(vec![b'x'; bytes].into(), false);
            sent_bytes += bytes;
        }
        body.send_reset(Reason::INTERNAL_ERROR);
        true
    });
    let (summary, rows) = run(&after.config(9, 3));
    assert_eq!(outcomes(&summary), [(Outcome::ResetInBody, 9)]);
    assert!(
        rows.iter()
            .all(|row| row.status == 200 && row.body_bytes > 0)
    );
}

#[test]
fn a_server_of_http_1_is_malformed() {
    let server = Server::start(|mut connection| {
        use std::io::Read;
        let mut piece = [0; 4096];
        let _ = connection.stream.read(&mut piece);
        connection.send(OK);
        connection.stall();
    });
    let mut config = server.config(20, 4);
    config.http2 = true;
    let (summary, rows) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Malformed, 20)]);
    assert!(rows.iter().all(|row| row.detail == Malformed::Http2 as u8));
}

#[test]
fn a_close_or_reset_without_an_answer_is_told_apart() {
    for reset in [false, true] {
        let server = Server::start(move |mut connection| {
            use std::io::Read;
            // Reads what comes of preface and request, as a close before that is a reset.
            let mut bytes = Vec::new();
            let mut piece = [0; 4096];
            while !bytes.windows(4).any(|word| word == b"test") {
                match connection.stream.read(&mut piece) {
                    Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
                    _ => return,
                }
            }
            if reset {
                connection.reset();
            }
        });
        let mut config = server.config(20, 4);
        config.http2 = true;
        config.method = "POST".into();
        config.body = b"test".to_vec();
        config.timeout = Duration::from_secs(5);
        let (summary, _) = run(&config);
        let outcome = match reset {
            true => Outcome::ResetBeforeFirstByte,
            false => Outcome::ClosedEarly,
        };
        assert_eq!(outcomes(&summary), [(outcome, 20)]);
    }
}

#[test]
fn an_answer_that_never_comes_times_out_and_the_run_goes_on() {
    let server = Http2Server::start(None, |_, _, respond: Respond| async move {
        let _kept = respond;
        std::future::pending().await
    });
    let mut config = server.config(10, 5);
    config.timeout = Duration::from_millis(500);
    let (summary, rows) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Timeout, 10)]);
    check_sent(&rows, server.counts().0);
    assert!(rows.iter().all(|row| row.first_byte_ns == 0));
    // A client that had to wait for a CPU gives up before it is connected.
    assert!((1..=10).contains(&summary.connections_opened));
}

#[test]
fn a_client_that_stands_still_counts_the_answer_that_came_meanwhile() {
    let client = StoppedClient::default();
    let at_server = client.clone();
    let server = Http2Server::start(None, move |_, _, respond: Respond| {
        let at_server = at_server.clone();
        async move {
            let _going = at_server.stop();
            answer(respond, 200, 5).await;
            tokio::time::sleep(stopped::TIMEOUT).await;
            true
        }
    });
    let summary = client.run(&["--http2", &format!("http://{}/", server.addr)]);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 1)]);
}
