//! HTTP for the exporters: one connection for each request, every few seconds one.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{client::conn::http1, header, http::uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use super::answer::{Answer, LastAnswer};

/// A collector answers with a few bytes.
const MOST_ANSWER_BYTES: usize = 1 << 20;
const HTTP_PORT: u16 = 80;

/// The exporters run on threads without a runtime, so it has its own.
pub(super) struct Client {
    runtime: Runtime,
    timeout: Duration,
    last: Arc<LastAnswer>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// One whose requests take no longer than `timeout`, answer included. What each came to is
    /// left in `last`.
    pub(super) fn new(timeout: Duration, last: Arc<LastAnswer>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            timeout,
            last,
        })
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'sent>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'client: 'sent,
        Self: 'sent,
    {
        // Each exporter has a client and a thread of its own, which may block.
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let answered = self.runtime.block_on(async {
                let answered = timeout(self.timeout, send(request)).await;
                answered.unwrap_or_else(|_| Err("no answer in time".into()))
            });
            self.last.set(Answer::of(&path, &answered));
            answered
        })
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri();
    let host = uri.host().ok_or("the address has no host")?;
    // An IPv6 address is in brackets, which are not part of it.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(HTTP_PORT))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = for_server(request)?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                HttpError::from(ResponseBodyTooLarge::new())
            } else {
                error
            }
        })?;
        Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        // The connection may be closed by the answer's end; the answer is what counts.
        biased;
        answered = &mut answer => answered,
        closed = connection => {
            closed?;
            answer.await
        }
    }
}

/// The request as a server wants it: the host in a header, and the path alone.
fn for_server(request: Request<Bytes>) -> Result<Request<Full<Bytes>>, HttpError> {
    let (mut head, body) = request.into_parts();
    if let Some(authority) = head.uri.authority() {
        let host = header::HeaderValue::from_str(authority.as_str())?;
        head.headers.insert(header::HOST, host);
    }
    head.headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("close"),
    );
    let path = head.uri.path_and_query();
    head.uri = path.map_or("/", PathAndQuery::as_str).parse()?;
    Ok(Request::from_parts(head, Full::new(body)))
}
