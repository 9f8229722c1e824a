//! From the errors of hyper and HTTP/2 to what went wrong with a connection.

use std::error::Error;
use std::io::{self, ErrorKind};

use super::watch::Watch;
use crate::engine::exchange::Trouble;
use crate::response::Malformed;

/// What an error of hyper means, with what was seen of the connection below it.
pub(super) fn of(error: &hyper::Error, watch: &Watch) -> Trouble {
    if let Some((failure, _)) = &*watch.tls.borrow() {
        return Trouble::Tls(*failure);
    }
    if let Some(trouble) = source::<h2::Error>(error).and_then(of_http2) {
        return trouble;
    }
    if error.is_parse_too_large() {
        return Trouble::Malformed(Malformed::HeadTooLong);
    }
    if error.is_parse() {
        return Trouble::Malformed(Malformed::Head);
    }
    // The system's errors have a number, those of hyper's chunk reader have none.
    if let Some(error) = source::<io::Error>(error)
        && error.raw_os_error().is_none()
        && matches!(
            error.kind(),
            ErrorKind::InvalidInput | ErrorKind::InvalidData
        )
    {
        return Trouble::Malformed(Malformed::ChunkSize);
    }
    ended(watch)
}

/// What it means that a connection ended, without an error that says more.
pub(super) fn ended(watch: &Watch) -> Trouble {
    match watch.read_errno.get().or(watch.write_errno.get()) {
        Some(errno) => Trouble::Errno(errno),
        None => Trouble::Closed,
    }
}

/// `None` when the connection ended below HTTP/2.
fn of_http2(error: &h2::Error) -> Option<Trouble> {
    if error.is_io() {
        return None;
    }
    if !error.is_remote() {
        return Some(Trouble::Malformed(Malformed::Http2));
    }
    if error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM) {
        // The server has said that it did not look at the request.
        return Some(Trouble::Closed);
    }
    Some(Trouble::StreamReset)
}

/// The first error of a kind among an error's causes.
fn source<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
