//! The HTTP server of the metrics, made for scrapers that are slow or hostile: few connections at
//! once, each with one request and a short life.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime,
    time::{sleep, timeout},
};

use super::{
    access::{Access, Guard, Verdict},
    connections::Connections,
    shared::Shared,
};
use crate::metrics::{Format, text};

/// Until the head of the request must be there, and before it the TLS handshake.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Until the answer must have been read.
const WHOLE_TIME: Duration = Duration::from_secs(10);
/// A head of a scraper's request has some 500 bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Scrapes within this time have the same answer.
const CACHE_TIME: Duration = Duration::from_millis(500);
/// How soon the end is noticed.
const STOP_CHECK: Duration = Duration::from_millis(100);
/// How long no connection is accepted after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the end.
pub(super) fn run(listener: TcpListener, guard: Guard, shared: Arc<Shared>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()?;
    runtime.block_on(accept(listener, guard, shared))?;
    // A password that is still being checked is not waited for.
    runtime.shutdown_background();
    Ok(())
}

async fn accept(listener: TcpListener, guard: Guard, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let server = Arc::new(Server {
        shared: Arc::clone(&shared),
        rendered: Mutex::default(),
    });
    let mut connections = Connections::default();
    while !shared.is_stopping() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sleep(STOP_CHECK) => continue,
        };
        let Ok((stream, _)) = accepted else {
            // As a rule there are no more descriptors; some will be given back.
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (server, access) = (Arc::clone(&server), guard.access());
        let connection = async move {
            if timeout(WHOLE_TIME, server.serve(stream, access))
                .await
                .is_err()
            {
                server.shared.scrapes().slow += 1;
            }
        };
        if connections.serve(connection) {
            shared.scrapes().too_many += 1;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Server {
    shared: Arc<Shared>,
    /// The last answer of each format.
    rendered: Mutex<Vec<(Format, Instant, Bytes)>>,
}

impl Server {
    async fn serve(&self, stream: TcpStream, access: Arc<Access>) {
        let Some(acceptor) = access.tls.clone() else {
            return self.speak(stream, &access).await;
        };
        match timeout(HEAD_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream, &access).await,
            Ok(Err(_)) => self.shared.scrapes().no_tls += 1,
            Err(_) => self.shared.scrapes().slow += 1,
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin, access: &Arc<Access>) {
        let service = service_fn(|request| async move {
            Ok::<_, Infallible>(self.answer(&request, access).await)
        });
        let spoken = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD_BYTES)
            // A connection that were kept would take the place of another for its idle time.
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        let Err(error) = spoken else { return };
        if error.is_timeout() {
            self.shared.scrapes().slow += 1;
        } else if error.is_parse() {
            self.shared.scrapes().malformed += 1;
        }
    }

    async fn answer(
        &self,
        request: &Request<impl Body>,
        access: &Arc<Access>,
    ) -> Response<Full<Bytes>> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let mut response = match access.check(authorization.map(HeaderValue::as_bytes)).await {
            Verdict::Right => self.page(request),
            Verdict::Wrong => {
                let mut response = plain(StatusCode::UNAUTHORIZED, "a name and password is needed");
                let basic = HeaderValue::from_static("Basic realm=\"mpm-observer\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, basic);
                response
            }
            Verdict::Busy => plain(StatusCode::SERVICE_UNAVAILABLE, "busy with other passwords"),
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in &access.headers {
            // They were checked when the file was read.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(*name, value);
            }
        }
        let code = response.status().as_u16();
        *self.shared.scrapes().answers.entry(code).or_default() += 1;
        response
    }

    fn page(&self, request: &Request<impl Body>) -> Response<Full<Bytes>> {
        if !request.body().is_end_stream() {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body");
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        match request.uri().path() {
            "/metrics" => {
                let accept = request.headers().get(header::ACCEPT);
                let format = Format::accepted(accept.and_then(|value| value.to_str().ok()));
                respond(StatusCode::OK, format.content_type(), self.metrics(format))
            }
            "/" => respond(
                StatusCode::OK,
                "text/html; charset=utf-8",
                Bytes::from(INDEX),
            ),
            "/-/healthy" => plain(StatusCode::OK, "OK"),
            _ => plain(
                StatusCode::NOT_FOUND,
                "not here; the metrics are at /metrics",
            ),
        }
    }

    fn metrics(&self, format: Format) -> Bytes {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        rendered.retain(|(_, at, _)| at.elapsed() < CACHE_TIME);
        let fresh = rendered.iter().find(|(known, ..)| *known == format);
        if let Some((_, _, bytes)) = fresh {
            return bytes.clone();
        }
        let begin = Instant::now();
        let bytes = Bytes::from(text(self.shared.exposition(), format));
        self.shared.scrapes().last_ns = Some(begin.elapsed().as_nanos() as u64);
        rendered.push((format, Instant::now(), bytes.clone()));
        bytes
    }
}

const INDEX: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\"><head><title>mpm-observer</title></head><body>\n",
    "<h1>mpm-observer ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n<p><a href=\"/metrics\">Metrics</a></p>\n</body></html>\n"
);

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let body = Bytes::from(format!("{text}\n"));
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
