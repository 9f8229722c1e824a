//! A slot: the attempts that follow each other on it, and the connection they share.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::header::{CONNECTION, CONTENT_LENGTH, SERVER, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode, Version, body::Body};
use socket2::Domain;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::has_budget_remaining;

use super::Work;
use super::connection::Connection;
use super::watch::{Stream, Watch, Watched, tls_failure};
use crate::Outcome;
use crate::clock::monotonic_ns;
use crate::engine::dispatch::{Next, StartKind};
use crate::engine::exchange::{Answer, Exchange, Trouble};
use crate::engine::socket;
use crate::response::Malformed;
use crate::row::TlsFailure;

/// What hyper says of an answer.
#[derive(Default)]
pub(super) struct Seen {
    status: u16,
    body_bytes: u64,
    keep_alive: bool,
}

impl Answer for Seen {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn status(&self) -> u16 {
        self.status
    }

    /// hyper does not tell.
    fn header_bytes(&self) -> u64 {
        0
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

/// Where a slot and the loop that rules it meet.
pub(super) struct Post {
    number: u32,
    pub(super) exchange: RefCell<Exchange<Seen>>,
    /// What is seen of the present attempt's connection, once it has one.
    watch: RefCell<Option<Rc<Watch>>>,
    start: Cell<Option<StartKind>>,
    cut: Cell<Option<Outcome>>,
    waker: RefCell<Option<Waker>>,
}

impl Post {
    pub(super) fn new(number: u32, exchange: Exchange<Seen>) -> Self {
        Self {
            number,
            exchange: RefCell::new(exchange),
            watch: RefCell::default(),
            start: Cell::default(),
            cut: Cell::default(),
            waker: RefCell::default(),
        }
    }

    /// Lets the slot begin an attempt.
    pub(super) fn start(&self, kind: StartKind) {
        self.start.set(Some(kind));
        self.wake();
    }

    /// Ends the slot's attempt from outside.
    pub(super) fn cut(&self, outcome: Outcome) {
        self.cut.set(Some(outcome));
        self.wake();
    }

    /// Takes back a start that the slot has not come to.
    pub(super) fn take_start(&self) -> Option<StartKind> {
        self.start.take()
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Writes what was seen of the connection into the row; returns the bytes received.
    pub(super) fn note_connection(&self, exchange: &mut Exchange<Seen>) -> u64 {
        let Some(watch) = &*self.watch.borrow() else {
            return 0;
        };
        let (read_bytes, written_bytes) = watch.take_bytes();
        let first_write_ns = watch.first_write_ns.get();
        if written_bytes > 0 && first_write_ns > 0 {
            exchange.taken(written_bytes, first_write_ns);
        }
        // In HTTP/2 other things come before the answer.
        if !watch.notes_every_read() && !exchange.has_first_byte() {
            let read = watch.first_read.get();
            exchange.first_byte(read.at_ns, read.wake_ns);
        }
        read_bytes
    }
}

/// How an attempt ended.
enum Ended {
    /// With a complete answer; whether its connection can be used again.
    Answered {
        reusable: bool,
    },
    Failed(Trouble),
    /// From outside.
    Cut(Outcome),
}

impl Work<'_, '_> {
    /// Carries out whatever is started on a slot; never ends by itself.
    pub(super) async fn slot(&self, post: &Post) {
        let mut connection = None;
        loop {
            let mut start = Some(self.wait(post, &mut connection).await);
            while let Some(kind) = start {
                let ended = self.attempt(post, kind, &mut connection).await;
                start = self.conclude(post, ended, &mut connection);
            }
        }
    }

    /// Waits for the next attempt; meanwhile, a connection that the server closes, or
    /// says something on that nobody has asked for, goes.
    async fn wait(&self, post: &Post, connection: &mut Option<Connection>) -> StartKind {
        poll_fn(|cx| {
            if let Some(gone) = connection.take_if(|connection| !connection.is_usable(cx)) {
                let surplus = u64::from(gone.is_out_of_step());
                self.recorder.borrow_mut().events().surplus += surplus;
            }
            post.listen(cx);
            post.start.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    async fn attempt(
        &self,
        post: &Post,
        kind: StartKind,
        connection: &mut Option<Connection>,
    ) -> Ended {
        let mut under_way = pin!(self.carry_out(post, kind, connection));
        poll_fn(|cx| {
            post.listen(cx);
            if post.cut.get().is_some() && !has_budget_remaining() {
                // It could not read now, and what has come counts.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let ended = under_way.as_mut().poll(cx);
            let cut = post.cut.take();
            match ended {
                Poll::Ready(Ok(reusable)) => Poll::Ready(Ended::Answered { reusable }),
                Poll::Ready(Err(trouble)) => Poll::Ready(Ended::Failed(trouble)),
                Poll::Pending => cut.map_or(Poll::Pending, |cut| Poll::Ready(Ended::Cut(cut))),
            }
        })
        .await
    }

    /// Sends a request and reads its answer; returns whether the connection can go on.
    async fn carry_out(
        &self,
        post: &Post,
        kind: StartKind,
        connection: &mut Option<Connection>,
    ) -> Result<bool, Trouble> {
        let now_ns = monotonic_ns();
        self.set_deadline(post.number, now_ns);
        let connection = match (kind, connection) {
            (StartKind::Fresh(fresh), Some(connection)) => {
                post.exchange.borrow_mut().begin_reuse(now_ns, fresh);
                post.watch.borrow().iter().for_each(|watch| watch.begin());
                connection
            }
            (_, connection) => {
                post.exchange.borrow_mut().begin_connect(now_ns, kind);
                self.set_connect_deadline(post.number, now_ns);
                post.watch.take();
                connection.insert(self.connect(post).await?)
            }
        };
        let url = post.exchange.borrow().row().url;
        let request = self.ground.requests[usize::from(url)].clone();
        let (head, body) = connection.send(request).await?.into_parts();
        let server_keeps = self.on_head(post, &head, body.is_end_stream())?;
        let on_piece = |piece: &hyper::body::Bytes| {
            let mut exchange = post.exchange.borrow_mut();
            exchange.reader.body_bytes += piece.len() as u64;
            exchange.verify_piece(piece);
        };
        if !body.is_end_stream() {
            connection.read(body, on_piece).await?;
        }
        let usable = connection.settle().await;
        let surplus = connection.is_out_of_step();
        let ordinal = post.exchange.borrow().row().ordinal;
        let mut recorder = self.recorder.borrow_mut();
        let events = recorder.events();
        events.keep_alive_answers += u64::from(server_keeps);
        events.surplus += u64::from(surplus);
        Ok(usable && server_keeps && self.plan.keeps_after(ordinal))
    }

    /// Takes note of the head; returns whether the server will keep the connection.
    fn on_head(&self, post: &Post, head: &Parts, is_empty: bool) -> Result<bool, Trouble> {
        let mut exchange = post.exchange.borrow_mut();
        if let Some(watch) = &*post.watch.borrow()
            && watch.notes_every_read()
        {
            let read = watch.last_read.get();
            exchange.first_byte(read.at_ns, read.wake_ns);
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Trouble::Malformed(Malformed::Status));
        }
        exchange.reader.status = head.status.as_u16();
        if !self.server_header_known.replace(true) {
            let server = head.headers.get(SERVER);
            self.recorder.borrow_mut().events().server_software =
                server.map(|server| String::from_utf8_lossy(server.as_bytes()).into_owned());
        }
        exchange.reader.keep_alive = keeps_connection(head, is_empty);
        Ok(exchange.reader.keep_alive)
    }

    /// Connects, with TLS if that is wanted, up to where a request can be sent.
    async fn connect(&self, post: &Post) -> Result<Connection, Trouble> {
        let stream = self.connect_socket(post).await?;
        let is_http2 = self.plan.config.http2;
        let (stream, is_tls) = match &self.ground.tls {
            None => (stream, false),
            Some(tls) => {
                let stream = tls
                    .connector
                    .connect(tls.name.clone(), stream)
                    .await
                    .map_err(|error| match (error.raw_os_error(), tls_failure(&error)) {
                        (Some(errno), _) => Trouble::Errno(errno),
                        (_, Some((failure, text))) => self.tls_failed(failure, text),
                        (None, None) => Trouble::Closed,
                    })?;
                if is_http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    let text = "the server does not offer HTTP/2".to_owned();
                    return Err(self.tls_failed(TlsFailure::NoHttp2, text));
                }
                (Box::new(stream) as Box<dyn Stream>, true)
            }
        };
        post.exchange.borrow_mut().connected(monotonic_ns());
        self.recorder.borrow_mut().events().connections_opened += 1;
        let watch = Watch::new(&self.wake_ns, is_http2);
        post.watch.replace(Some(Rc::clone(&watch)));
        let stream = Watched::new(stream, Rc::clone(&watch), is_tls);
        Connection::open(stream, watch, is_http2).await
    }

    async fn connect_socket(&self, post: &Post) -> Result<Box<dyn Stream>, Trouble> {
        let trouble = |error: io::Error| Trouble::Errno(error.raw_os_error().unwrap_or(libc::EIO));
        let (socket, local) =
            socket::connect(&self.address, self.plan, post.number).map_err(trouble)?;
        post.exchange.borrow_mut().set_local(local);
        if self.address.domain() == Domain::UNIX {
            let socket = std::os::unix::net::UnixStream::from(OwnedFd::from(socket));
            return Ok(Box::new(UnixStream::from_std(socket).map_err(trouble)?));
        }
        // Frames of HTTP/2 and records of TLS are small and must not wait for each other.
        socket.set_tcp_nodelay(true).map_err(trouble)?;
        let stream = TcpStream::from_std(socket.into()).map_err(trouble)?;
        stream.writable().await.map_err(trouble)?;
        match stream.take_error().map_err(trouble)? {
            Some(error) => Err(trouble(error)),
            None => Ok(Box::new(stream)),
        }
    }

    fn tls_failed(&self, failure: TlsFailure, text: String) -> Trouble {
        let mut recorder = self.recorder.borrow_mut();
        recorder.events().tls_failure.get_or_insert(text);
        Trouble::Tls(failure)
    }

    /// Records an attempt that has ended; returns what the slot begins next, at once.
    fn conclude(
        &self,
        post: &Post,
        ended: Ended,
        connection: &mut Option<Connection>,
    ) -> Option<StartKind> {
        let now_ns = monotonic_ns();
        let mut exchange = post.exchange.borrow_mut();
        let received = post.note_connection(&mut exchange);
        self.recorder.borrow_mut().events().bytes_received += received;
        match ended {
            Ended::Answered { reusable } => {
                exchange.answered(now_ns);
                connection.take_if(|_| !reusable);
            }
            Ended::Failed(trouble) => {
                let tls = post
                    .watch
                    .borrow()
                    .as_ref()
                    .and_then(|watch| watch.tls.take());
                if let Some((_, text)) = tls {
                    self.tls_failed(TlsFailure::Handshake, text);
                }
                exchange.failed(trouble, now_ns);
                connection.take().into_iter().for_each(Connection::abort);
            }
            Ended::Cut(outcome) => {
                exchange.cut_off(outcome, now_ns);
                connection.take().into_iter().for_each(Connection::abort);
            }
        }
        self.record(post.number, exchange.row());
        let mut dispatcher = self.dispatcher.borrow_mut();
        if exchange.row().outcome == Outcome::StaleKeepAlive && self.plan.config.retry_stale {
            dispatcher.retry(post.number);
            return None;
        }
        match dispatcher.freed(post.number, now_ns, connection.is_some()) {
            Next::Start(start) => return Some(start.kind),
            Next::Wait => {}
            Next::Leave => *connection = None,
        }
        None
    }
}

/// Whether the server keeps the connection after the answer with this head.
fn keeps_connection(head: &Parts, is_empty: bool) -> bool {
    if head.version == Version::HTTP_2 {
        return true;
    }
    // With both, nobody knows which of them the server meant.
    let framed = is_empty
        || head.headers.contains_key(CONTENT_LENGTH)
            != head.headers.contains_key(TRANSFER_ENCODING);
    let keeps = match head.version {
        Version::HTTP_10 => has_connection_option(&head.headers, "keep-alive"),
        _ => true,
    };
    framed && keeps && !has_connection_option(&head.headers, "close")
}

fn has_connection_option(headers: &HeaderMap, option: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(option))
}
