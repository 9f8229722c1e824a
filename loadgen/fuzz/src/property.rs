//! What must hold of every answer, whatever its bytes are and however they are cut.
//!
//! Shared by the fuzz target and by a test that goes through the seeds and their mutations.
//! Whoever includes it has the parser as `crate::response`.

use crate::response::{EndOfStream, HEAD_MAX_BYTES, Malformed, ResponseReader};

/// Longest memory that a reader may hold: a head, in a vector that doubles.
const HELD_MAX_BYTES: usize = 4 * HEAD_MAX_BYTES;

/// What a reader says about an answer after which the connection is closed.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    end: EndOfStream,
    status: u16,
    keep_alive: bool,
    header_bytes: u64,
    body_bytes: u64,
    surplus: usize,
}

/// Checks an input: its first byte says whether the request was HEAD, its second how the rest,
/// the answer, is cut.
///
/// # Panics
/// When the property does not hold.
pub fn check(input: &[u8]) {
    let [options, cuts, answer @ ..] = input else {
        return;
    };
    let to_head_request = options % 2 == 1;
    let (whole, body) = read(to_head_request, answer, |left| left);
    assert!(whole.body_bytes + whole.surplus as u64 <= answer.len() as u64);
    assert!(!to_head_request || body.is_empty());
    if whole.end == EndOfStream::Complete {
        let parts = whole.header_bytes + whole.body_bytes + whole.surplus as u64;
        assert!(parts <= answer.len() as u64);
    }

    let mut chance = u64::from(*cuts) << 8 | 1;
    let (pieces, pieces_body) = read(to_head_request, answer, |left| {
        // A small xorshift: the same cuts for the same input.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        1 + chance as usize % left.min(40)
    });
    agree(&whole, &pieces);
    let (bytewise, bytewise_body) = read(to_head_request, answer, |_| 1);
    agree(&whole, &bytewise);
    let skipped = read_and_skip(to_head_request, answer, usize::from(*cuts) + 1);
    agree(&whole, &skipped);
    if !matches!(whole.end, EndOfStream::Malformed(_)) {
        assert_eq!(body, pieces_body);
        assert_eq!(body, bytewise_body);
    }
}

fn agree(whole: &Verdict, other: &Verdict) {
    if matches!(whole.end, EndOfStream::Malformed(_)) {
        // How much had been counted when garbage was found is nobody's business.
        assert_eq!(whole.end, other.end);
    } else {
        assert_eq!(whole, other);
    }
}

/// Feeds the answer in pieces whose length `cut` says, given what is left.
fn read(
    to_head_request: bool,
    answer: &[u8],
    mut cut: impl FnMut(usize) -> usize,
) -> (Verdict, Vec<u8>) {
    let mut reader = ResponseReader::new(to_head_request);
    reader.keep_server_header();
    let mut body = Vec::new();
    let (mut at, mut surplus) = (0, 0);
    let mut error = None;
    while at < answer.len() {
        let piece = &answer[at..at + cut(answer.len() - at)];
        at += piece.len();
        match reader.feed_with(piece, |part| body.extend_from_slice(part)) {
            Ok(taken) => {
                assert!(taken == piece.len() || reader.is_complete());
                surplus += piece.len() - taken;
            }
            Err(reason) => {
                error = Some(reason);
                break;
            }
        }
        assert!(reader.held_bytes() <= HELD_MAX_BYTES);
        assert_eq!(reader.body_bytes(), body.len() as u64);
    }
    (verdict(reader, error, surplus), body)
}

/// The same the way an engine does it that lets the kernel drop bodies: up to `at_most`
/// bytes at a time.
fn read_and_skip(to_head_request: bool, answer: &[u8], at_most: usize) -> Verdict {
    let mut reader = ResponseReader::new(to_head_request);
    let (mut at, mut surplus) = (0, 0);
    let mut error = None;
    while at < answer.len() {
        let left = &answer[at..];
        let piece = &left[..left.len().min(at_most)];
        if let Some(unseen) = reader.unseen() {
            let skipped = unseen.bytes.min(piece.len() as u64);
            assert!(skipped > 0, "a body of nothing is complete");
            reader.skip(skipped);
            at += skipped as usize;
            continue;
        }
        at += piece.len();
        match reader.feed(piece) {
            Ok(taken) => surplus += piece.len() - taken,
            Err(reason) => {
                error = Some(reason);
                break;
            }
        }
    }
    verdict(reader, error, surplus)
}

fn verdict(mut reader: ResponseReader, error: Option<Malformed>, surplus: usize) -> Verdict {
    let end = error.map_or_else(|| reader.end_of_stream(), EndOfStream::Malformed);
    let verdict = Verdict {
        end,
        status: reader.status(),
        keep_alive: reader.keep_alive(),
        header_bytes: reader.header_bytes(),
        body_bytes: reader.body_bytes(),
        surplus,
    };
    // A reader that was reset is as good as new, whatever it has read.
    reader.reset();
    assert_eq!(reader.end_of_stream(), EndOfStream::Empty);
    assert_eq!((reader.status(), reader.body_bytes()), (0, 0));
    assert!(reader.held_bytes() <= 4096);
    verdict
}
