//! What is seen of a connection below hyper, which tells neither times nor bytes.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls;

use crate::clock::monotonic_ns;
use crate::row::TlsFailure;

/// A stream of any kind: TCP or a unix socket, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// When bytes were read, and when the loop had woken before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) at_ns: u64,
    pub(super) wake_ns: u64,
}

/// What was seen of a connection. Bytes are those of HTTP, before encryption.
pub(super) struct Watch {
    loop_wake_ns: Rc<Cell<u64>>,
    every_read: bool,
    read_bytes: Cell<u64>,
    written_bytes: Cell<u64>,
    /// When the first write since [`Watch::begin`] began, 0 if there was none.
    pub(super) first_write_ns: Cell<u64>,
    pub(super) first_read: Cell<Read>,
    /// Kept only when every read is to be noted.
    pub(super) last_read: Cell<Read>,
    /// Whether a read or write failed; TLS that ends without a word has no error number.
    failed: Cell<bool>,
    pub(super) read_errno: Cell<Option<i32>>,
    pub(super) write_errno: Cell<Option<i32>>,
    /// Why TLS ended the connection.
    pub(super) tls: RefCell<Option<(TlsFailure, String)>>,
}

impl Watch {
    /// `every_read`: whether the time of the last read is wanted, not only of the first.
    pub(super) fn new(loop_wake_ns: &Rc<Cell<u64>>, every_read: bool) -> Rc<Self> {
        Rc::new(Self {
            loop_wake_ns: Rc::clone(loop_wake_ns),
            every_read,
            read_bytes: Cell::default(),
            written_bytes: Cell::default(),
            first_write_ns: Cell::default(),
            first_read: Cell::default(),
            last_read: Cell::default(),
            failed: Cell::default(),
            read_errno: Cell::default(),
            write_errno: Cell::default(),
            tls: RefCell::default(),
        })
    }

    /// From here on, what is seen belongs to the next request.
    pub(super) fn begin(&self) {
        self.first_write_ns.set(0);
        self.first_read.set(Read::default());
    }

    /// Whether [`Watch::last_read`] is kept.
    pub(super) fn notes_every_read(&self) -> bool {
        self.every_read
    }

    /// Bytes read and written since this was last called.
    pub(super) fn take_bytes(&self) -> (u64, u64) {
        (self.read_bytes.take(), self.written_bytes.take())
    }

    /// Whether nothing went wrong below HTTP.
    pub(super) fn is_sound(&self) -> bool {
        !self.failed.get()
    }

    fn was_read(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.read_bytes.set(self.read_bytes.get() + bytes as u64);
        let is_first = self.first_read.get().at_ns == 0;
        if is_first || self.every_read {
            let at_ns = monotonic_ns();
            let wake_ns = self.loop_wake_ns.get().min(at_ns);
            let read = Read { at_ns, wake_ns };
            self.last_read.set(read);
            if is_first {
                self.first_read.set(read);
            }
        }
    }

    fn write_begins(&self) {
        if self.first_write_ns.get() == 0 {
            self.first_write_ns.set(monotonic_ns());
        }
    }

    fn was_written(&self, bytes: usize) {
        self.written_bytes
            .set(self.written_bytes.get() + bytes as u64);
    }

    fn note(&self, error: &io::Error, errno: &Cell<Option<i32>>) {
        self.failed.set(true);
        if let Some(number) = error.raw_os_error() {
            errno.set(Some(number));
        } else if let Some(tls) = tls_failure(error) {
            *self.tls.borrow_mut() = Some(tls);
        }
    }
}

/// What TLS has to say about an error, if it comes from there.
pub(super) fn tls_failure(error: &io::Error) -> Option<(TlsFailure, String)> {
    use rustls::AlertDescription::NoApplicationProtocol;
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let failure = match tls {
        rustls::Error::InvalidCertificate(_) => TlsFailure::Certificate,
        rustls::Error::AlertReceived(NoApplicationProtocol) => TlsFailure::NoHttp2,
        _ => TlsFailure::Handshake,
    };
    Some((failure, tls.to_string()))
}

/// A stream with somebody who watches it.
pub(super) struct Watched {
    stream: Box<dyn Stream>,
    watch: Rc<Watch>,
    is_tls: bool,
    /// Nothing is read before the first write: an answer that comes before its request
    /// would be against hyper's rules, but servers do that.
    has_written: bool,
    reader: Option<Waker>,
}

impl Watched {
    pub(super) fn new(stream: Box<dyn Stream>, watch: Rc<Watch>, is_tls: bool) -> Self {
        Self {
            stream,
            watch,
            is_tls,
            has_written: false,
            reader: None,
        }
    }

    /// A failed write is noted and otherwise kept from hyper, which would throw away the
    /// answer that the server may have sent before it closed: the reads will tell.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = ready!(written);
        self.has_written = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        match written {
            Ok(bytes) => {
                self.watch.was_written(bytes);
                Poll::Ready(Ok(bytes))
            }
            Err(error) => {
                self.watch.note(&error, &self.watch.write_errno);
                Poll::Pending
            }
        }
    }

    fn can_write(&self) -> bool {
        self.watch.write_errno.get().is_none()
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.has_written {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        match &read {
            Ok(()) => self.watch.was_read(buffer.filled().len() - before),
            Err(error) => self.watch.note(error, &self.watch.read_errno),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.can_write() {
            return Poll::Pending;
        }
        self.watch.write_begins();
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.can_write() {
            return Poll::Pending;
        }
        self.watch.write_begins();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.can_write() {
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => {
                self.watch.note(&error, &self.watch.write_errno);
                Poll::Pending
            }
        }
    }

    /// Does nothing, as dropping closes at once.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Watched {
    /// Says by TLS that the connection ends, if that takes no waiting.
    fn drop(&mut self) {
        if self.is_tls && self.can_write() {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
        }
    }
}
