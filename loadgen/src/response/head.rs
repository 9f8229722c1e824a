//! Status line and headers, as far as they say how the answer goes on.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

use super::Malformed;

/// Header lines that a head may have.
const HEADERS_MAX: usize = 256;

/// How the end of the body is known (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A whole head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its length, with the empty line that ends it.
    pub bytes: usize,
    pub status: u16,
    /// 1xx: the real answer is still to come.
    pub interim: bool,
    pub keep_alive: bool,
    pub framing: Framing,
}

/// Parses the head at the beginning of `bytes`; `None` when it is not whole yet.
pub(super) fn parse(bytes: &[u8], to_head_request: bool) -> Result<Option<Head>, Malformed> {
    with_headers(bytes, |length, response| {
        read(length, response, to_head_request)
    })?
    .transpose()
}

/// The Server header of a whole head.
pub(super) fn server(bytes: &[u8]) -> Option<String> {
    with_headers(bytes, |_, response| {
        response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("server"))
            .map(|header| String::from_utf8_lossy(header.value).into_owned())
    })
    .ok()??
}

fn with_headers<T>(
    bytes: &[u8],
    then: impl FnOnce(usize, &Response<'_, '_>) -> T,
) -> Result<Option<T>, Malformed> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let mut config = ParserConfig::default();
    config
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true);
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(Status::Complete(length)) => Ok(Some(then(length, &response))),
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Malformed::TooManyHeaders),
        Err(_) => Err(Malformed::Head),
    }
}

fn read(
    bytes: usize,
    response: &Response<'_, '_>,
    to_head_request: bool,
) -> Result<Head, Malformed> {
    let status = response.code.unwrap_or(0);
    let mut keep_alive = response.version == Some(1);
    let mut close = false;
    let mut length = None;
    let mut transfer_encoding = None;
    for Header { name, value } in &*response.headers {
        // By length first: it spares most headers the comparison.
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                close |= has_token(value, b"close");
                keep_alive |= has_token(value, b"keep-alive");
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                length = Some(content_length(length, value)?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                transfer_encoding = Some(
                    tokens(value)
                        .next_back()
                        .is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")),
                );
            }
            _ => {}
        }
    }
    let interim = (100..200).contains(&status);
    if status < 100 || status == 101 {
        return Err(Malformed::Status);
    }
    let framing = match (transfer_encoding, length) {
        _ if to_head_request || interim || status == 204 || status == 304 => Framing::None,
        (Some(true), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (Some(false), _) | (None, None) => Framing::UntilClose,
    };
    // Both headers at once, or an encoding that HTTP/1.0 does not have: the framing
    // is not to be trusted beyond this answer.
    let doubtful = transfer_encoding.is_some() && (length.is_some() || response.version == Some(0));
    Ok(Head {
        bytes,
        status,
        interim,
        keep_alive: keep_alive && !close && !doubtful && framing != Framing::UntilClose,
        framing,
    })
}

/// Adds the value of one more Content-Length header, which may be a list, to what is known.
fn content_length(mut known: Option<u64>, value: &[u8]) -> Result<u64, Malformed> {
    for item in value.split(|b| *b == b',') {
        let digits = item.trim_ascii();
        // `parse` would take a leading '+'.
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Malformed::ContentLength);
        }
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<u64>().ok())
            .ok_or(Malformed::ContentLength)?;
        if known.is_some_and(|known| known != number) {
            return Err(Malformed::ConflictingLengths);
        }
        known = Some(number);
    }
    known.ok_or(Malformed::ContentLength)
}

fn tokens(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    tokens(value).any(|found| found.eq_ignore_ascii_case(token))
}
