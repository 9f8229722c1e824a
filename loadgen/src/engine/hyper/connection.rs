//! A connection that hyper speaks HTTP over.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::trouble;
use super::watch::{Watch, Watched};
use crate::engine::exchange::Trouble;
use crate::response::HEAD_MAX_BYTES;

/// As many header lines as the other engines accept.
const HEADERS_MAX: usize = 256;

type Payload = Full<Bytes>;
type Sent<T> = Result<T, Trouble>;

/// An established connection; dropping it closes it.
pub(super) struct Connection {
    link: Link,
    watch: Rc<Watch>,
}

enum Link {
    /// Its driver is polled by whoever waits for something from it: one task less.
    Http1 {
        sender: http1::SendRequest<Payload>,
        driver: Box<http1::Connection<TokioIo<Watched>, Payload>>,
        /// How the driver ended.
        ended: Option<Result<(), hyper::Error>>,
    },
    Http2 {
        sender: http2::SendRequest<Payload>,
        tasks: Tasks,
    },
}

/// The tasks of an HTTP/2 connection, on the thread that started them.
#[derive(Clone, Default)]
struct Tasks(Rc<RefCell<Vec<AbortHandle>>>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.0.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::task::spawn_local(task).abort_handle());
    }
}

impl Connection {
    pub(super) async fn open(stream: Watched, watch: Rc<Watch>, is_http2: bool) -> Sent<Self> {
        let io = TokioIo::new(stream);
        let trouble = |error: hyper::Error| trouble::of(&error, &watch);
        let link = if is_http2 {
            let tasks = Tasks::default();
            let (sender, driver) = http2::Builder::new(tasks.clone())
                .max_header_list_size(HEAD_MAX_BYTES as u32)
                .handshake(io)
                .await
                .map_err(trouble)?;
            // Its errors come to the requests, too.
            hyper::rt::Executor::execute(&tasks, async { drop(driver.await) });
            Link::Http2 { sender, tasks }
        } else {
            let (sender, driver) = http1::Builder::new()
                .title_case_headers(true)
                .allow_obsolete_multiline_headers_in_responses(true)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEAD_MAX_BYTES)
                .handshake(io)
                .await
                .map_err(trouble)?;
            Link::Http1 {
                sender,
                driver: Box::new(driver),
                ended: None,
            }
        };
        Ok(Self { link, watch })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Payload>) -> Sent<Response<Incoming>> {
        let answer = match &mut self.link {
            Link::Http1 {
                sender,
                driver,
                ended,
            } => {
                let mut answer = pin!(sender.send_request(request));
                std::future::poll_fn(|cx| {
                    drive(driver, ended, cx);
                    answer.as_mut().poll(cx)
                })
                .await
            }
            Link::Http2 { sender, .. } => sender.send_request(request).await,
        };
        answer.map_err(|error| trouble::of(&error, &self.watch))
    }

    /// Reads a body to its end and drops it piece by piece.
    pub(super) async fn read(
        &mut self,
        mut body: Incoming,
        mut on_piece: impl FnMut(&Bytes),
    ) -> Sent<()> {
        std::future::poll_fn(|cx| {
            loop {
                if let Link::Http1 { driver, ended, .. } = &mut self.link {
                    drive(driver, ended, cx);
                }
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Ready(Some(Ok(frame))) => {
                        frame.data_ref().into_iter().for_each(&mut on_piece)
                    }
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(trouble::of(&error, &self.watch)));
                    }
                }
            }
        })
        .await
    }

    /// Whether it can take a further request, after an answer was read to its end.
    pub(super) async fn settle(&mut self) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(self.is_usable(cx))).await;
        match &self.link {
            Link::Http1 { sender, ended, .. } => ended.is_none() && sender.is_ready(),
            Link::Http2 { sender, .. } => sender.is_ready(),
        }
    }

    /// Whether it ended because of bytes that nobody has asked for; to be called when
    /// nothing is under way.
    pub(super) fn is_out_of_step(&self) -> bool {
        let Link::Http1 { ended, .. } = &self.link else {
            return false;
        };
        matches!(ended, Some(Err(_))) && self.watch.is_sound()
    }

    /// Looks whether an idle connection still stands.
    pub(super) fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.link {
            Link::Http1 { driver, ended, .. } => {
                drive(driver, ended, cx);
                ended.is_none()
            }
            Link::Http2 { sender, .. } => sender.is_ready(),
        }
    }

    /// Closes it at once, whatever is under way.
    pub(super) fn abort(self) {
        if let Link::Http2 { tasks, .. } = &self.link {
            tasks.0.borrow().iter().for_each(AbortHandle::abort);
        }
    }
}

/// Moves what there is to move.
fn drive(
    driver: &mut http1::Connection<TokioIo<Watched>, Payload>,
    ended: &mut Option<Result<(), hyper::Error>>,
    cx: &mut Context<'_>,
) {
    if ended.is_none()
        && let Poll::Ready(result) = Pin::new(driver).poll(cx)
    {
        *ended = Some(result);
    }
}
