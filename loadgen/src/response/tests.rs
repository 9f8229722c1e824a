use super::*;

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

fn read_pieces(pieces: &[&[u8]], to_head_request: bool) -> Verdict {
    let mut reader = ResponseReader::new(to_head_request);
    let mut surplus = 0;
    let mut end = None;
    for piece in pieces {
        match reader.feed(piece) {
            Ok(taken) => surplus += piece.len() - taken,
            Err(reason) => {
                end = Some(EndOfStream::Malformed(reason));
                break;
            }
        }
    }
    Verdict {
        end: end.unwrap_or_else(|| reader.end_of_stream()),
        status: reader.status(),
        keep_alive: reader.keep_alive(),
        header_bytes: reader.header_bytes(),
        body_bytes: reader.body_bytes(),
        surplus,
    }
}

/// Reads an answer whole, cut at every byte, and byte by byte: all must agree.
fn read(bytes: &[u8]) -> Verdict {
    let whole = read_pieces(&[bytes], false);
    let malformed = matches!(whole.end, EndOfStream::Malformed(_));
    let check = |pieces: &[&[u8]]| {
        let verdict = read_pieces(pieces, false);
        // How much had been counted when garbage was found is nobody's business.
        if malformed {
            assert_eq!(verdict.end, whole.end);
        } else {
            assert_eq!(verdict, whole);
        }
    };
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        check(&[head, tail]);
    }
    check(&bytes.chunks(1).collect::<Vec<_>>());
    check(&bytes.chunks(3).collect::<Vec<_>>());
    whole
}

fn malformed(bytes: &[u8]) -> Malformed {
    match read(bytes).end {
        EndOfStream::Malformed(reason) => reason,
        other => panic!("{other:?} for {:?}", String::from_utf8_lossy(bytes)),
    }
}

#[test]
fn a_known_length_ends_the_answer() {
    let head = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n";
    let verdict = read(&[&head[..], b"hello"].concat());
    assert_eq!(
        verdict,
        Verdict {
            end: EndOfStream::Complete,
            status: 200,
            keep_alive: true,
            header_bytes: head.len() as u64,
            body_bytes: 5,
            surplus: 0,
        }
    );
}

#[test]
fn an_answer_cut_off_anywhere_is_cut_and_never_complete() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ] {
        for cut in 1..answer.len() {
            let verdict = read_pieces(&[&answer[..cut]], false);
            assert_eq!(verdict.end, EndOfStream::Cut, "cut at {cut}");
        }
        assert_eq!(read(answer).end, EndOfStream::Complete);
    }
    assert_eq!(read(b"").end, EndOfStream::Empty);
}

#[test]
fn surplus_bytes_are_not_taken() {
    let verdict = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200");
    assert_eq!(
        (verdict.end, verdict.body_bytes, verdict.surplus),
        (EndOfStream::Complete, 2, 12)
    );
    let verdict = read(b"HTTP/1.1 204 No Content\r\n\r\nx");
    assert_eq!((verdict.body_bytes, verdict.surplus), (0, 1));
    let verdict = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nxy");
    assert_eq!((verdict.body_bytes, verdict.surplus), (0, 2));
}

#[test]
fn chunks_are_counted_without_their_framing() {
    let verdict = read(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
          5;name=\"v\"\r\nhello\r\n0A \r\n0123456789\r\n000\r\nTrailer: 1\r\nOther: 2\r\n\r\n",
    );
    assert_eq!(verdict.end, EndOfStream::Complete);
    assert_eq!((verdict.body_bytes, verdict.surplus), (15, 0));
    assert!(verdict.keep_alive);
}

#[test]
fn bad_chunks_are_malformed() {
    let with = |body: &[u8]| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        malformed(&[&head[..], body].concat())
    };
    assert_eq!(with(b"xyz\r\n"), Malformed::ChunkSize);
    assert_eq!(with(b"\r\nabc"), Malformed::ChunkSize);
    assert_eq!(with(b";ext\r\n"), Malformed::ChunkSize);
    assert_eq!(with(b"-1\r\n"), Malformed::ChunkSize);
    assert_eq!(with(b"10000000000000000\r\n"), Malformed::ChunkSize);
    assert_eq!(with(b"3\r\nabcd\r\n"), Malformed::ChunkEnd);
    assert_eq!(with(b"3\r\nabc\rX"), Malformed::ChunkEnd);
    assert_eq!(
        with(&[b"3;".as_slice(), &[b'e'; 5000]].concat()),
        Malformed::ChunkLineTooLong
    );
    assert_eq!(with(&[b'0'; 5000]), Malformed::ChunkLineTooLong);
}

#[test]
fn an_endless_trailer_is_malformed() {
    let mut reader = ResponseReader::new(false);
    reader
        .feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        .expect("good so far");
    let error = (0..HEAD_MAX_BYTES).find_map(|_| reader.feed(b"a: b\r\n").err());
    assert_eq!(error, Some(Malformed::ChunkLineTooLong));
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let verdict = read(b"HTTP/1.1 200 OK\r\n\r\nas long as it takes");
    assert_eq!(verdict.end, EndOfStream::Complete);
    assert_eq!((verdict.body_bytes, verdict.keep_alive), (19, false));
    let verdict = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc");
    assert_eq!((verdict.body_bytes, verdict.keep_alive), (3, false));
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    for head in [
        &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut reader = ResponseReader::new(false);
        assert_eq!(reader.feed(head), Ok(head.len()));
        assert!(reader.is_complete() && reader.keep_alive());
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let verdict = read_pieces(&[head], true);
    assert_eq!(
        (verdict.end, verdict.body_bytes),
        (EndOfStream::Complete, 0)
    );
    assert_eq!(read(head).end, EndOfStream::Cut);
}

#[test]
fn interim_answers_are_passed_over() {
    let verdict = read(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
          HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n!",
    );
    assert_eq!(verdict.end, EndOfStream::Complete);
    assert_eq!((verdict.status, verdict.body_bytes), (404, 1));
    assert_eq!(
        malformed(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        Malformed::Status
    );
}

#[test]
fn keep_alive_follows_version_and_header() {
    let keep_alive = |head: &[u8]| read(head).keep_alive;
    assert!(keep_alive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert!(!keep_alive(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, Close\r\n\r\n"
    ));
    assert!(!keep_alive(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert!(keep_alive(
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n"
    ));
    assert!(!keep_alive(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ));
}

#[test]
fn two_content_lengths_must_agree() {
    let verdict = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2, 2\r\n\r\nok");
    assert_eq!(verdict.end, EndOfStream::Complete);
    for lengths in [
        &b"Content-Length: 2\r\nContent-Length: 3\r\n"[..],
        b"Content-Length: 2, 3\r\n",
    ] {
        let head = [b"HTTP/1.1 200 OK\r\n", lengths, b"\r\n"].concat();
        assert_eq!(malformed(&head), Malformed::ConflictingLengths);
    }
    for length in [
        "",
        "x",
        "+5",
        "-1",
        "0x10",
        "1 2",
        "18446744073709551616",
        "1,",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(
            malformed(head.as_bytes()),
            Malformed::ContentLength,
            "{length}"
        );
    }
}

#[test]
fn the_largest_length_is_read_without_overflow() {
    let verdict = read(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nabc");
    assert_eq!((verdict.end, verdict.body_bytes), (EndOfStream::Cut, 3));
}

#[test]
fn garbage_is_malformed_wherever_it_is_cut() {
    for garbage in [
        &b"garbage"[..],
        b"HTTQ",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 xyz OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
        b"<html><body>It works!</body></html>",
        b"\x16\x03\x01\x00\xa5\x01",
    ] {
        assert_eq!(malformed(garbage), Malformed::Head);
    }
    assert_eq!(malformed(b"HTTP/1.1 099 Odd\r\n\r\n"), Malformed::Status);
}

#[test]
fn bare_line_feeds_and_leading_empty_lines_are_read() {
    let verdict = read(b"\r\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok");
    assert_eq!(verdict.end, EndOfStream::Complete);
    assert_eq!((verdict.header_bytes, verdict.body_bytes), (38, 2));
    let verdict = read(b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nab\n0\n\n");
    assert_eq!(
        (verdict.end, verdict.body_bytes),
        (EndOfStream::Complete, 2)
    );
}

#[test]
fn a_head_without_end_is_too_long_however_it_comes() {
    for piece in [1000, 16 * 1024, HEAD_MAX_BYTES + 1] {
        let mut reader = ResponseReader::new(false);
        reader.feed(b"HTTP/1.1 200 OK\r\nX: ").expect("good so far");
        let endless = vec![b'x'; piece];
        let error = (0..=HEAD_MAX_BYTES).find_map(|_| reader.feed(&endless).err());
        assert_eq!(error, Some(Malformed::HeadTooLong));
        assert!(reader.header_bytes() <= HEAD_MAX_BYTES as u64 + 1);
    }
    let whole = [
        b"HTTP/1.1 200 OK\r\nX: ",
        &vec![b'x'; HEAD_MAX_BYTES][..],
        b"\r\n\r\n",
    ]
    .concat();
    let mut reader = ResponseReader::new(false);
    assert_eq!(reader.feed(&whole), Err(Malformed::HeadTooLong));
    let mut reader = ResponseReader::new(false);
    let newlines = vec![b'\n'; HEAD_MAX_BYTES + 1];
    assert_eq!(reader.feed(&newlines), Err(Malformed::HeadTooLong));
}

#[test]
fn too_many_headers_are_malformed() {
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(257));
    let mut reader = ResponseReader::new(false);
    assert_eq!(reader.feed(head.as_bytes()), Err(Malformed::TooManyHeaders));
}

#[test]
fn a_body_dropped_unseen_counts_like_one_that_was_read() {
    let mut reader = ResponseReader::new(false);
    assert_eq!(reader.unseen(), None);
    reader
        .feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        .expect("good");
    let unseen = reader.unseen().expect("a body");
    assert_eq!((unseen.bytes, unseen.then_complete), (97, true));
    reader.skip(96);
    assert!(!reader.is_complete());
    reader.skip(1);
    assert!(reader.is_complete());
    assert_eq!((reader.body_bytes(), reader.unseen()), (100, None));
}

#[test]
fn chunk_data_dropped_unseen_leaves_the_framing_to_be_read() {
    let mut reader = ResponseReader::new(false);
    reader
        .feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n")
        .expect("good");
    let unseen = reader.unseen().expect("a chunk");
    assert_eq!((unseen.bytes, unseen.then_complete), (256, false));
    reader.skip(256);
    assert_eq!(reader.unseen(), None);
    reader.feed(b"\r\n0\r\n\r\n").expect("good");
    assert!(reader.is_complete());
    assert_eq!(reader.body_bytes(), 256);
}

#[test]
fn a_reader_that_was_reset_knows_nothing_of_the_last_answer() {
    let mut reader = ResponseReader::new(false);
    reader.keep_server_header();
    reader
        .feed(b"HTTP/1.1 500 Oops\r\nServer: a b\r\nContent-Length: 1\r\n\r\nx")
        .expect("good");
    assert_eq!(reader.take_server_header().as_deref(), Some("a b"));
    reader.reset();
    assert_eq!(reader.end_of_stream(), EndOfStream::Empty);
    assert_eq!((reader.status(), reader.body_bytes()), (0, 0));
    reader.feed(b"HTTP/1.1 2").expect("good");
    reader.reset();
    let answer = b"HTTP/1.1 200 OK\r\nServer: c\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(reader.feed(answer), Ok(answer.len()));
    assert_eq!((reader.status(), reader.take_server_header()), (200, None));
}

#[test]
fn random_bytes_never_panic_and_never_take_more_than_given() {
    // A small xorshift: the same bytes on every machine.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n5;a\r\nhello\r\n0\r\nT: 1\r\n\r\n";
    for _ in 0..20_000 {
        let mut bytes = good.to_vec();
        for _ in 0..random() % 6 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        let mut reader = ResponseReader::new(random() % 8 == 0);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(1 + random() as usize % rest.len());
            match reader.feed(piece) {
                Ok(taken) => assert!(taken == piece.len() || reader.is_complete()),
                Err(_) => break,
            }
            rest = tail;
        }
        reader.end_of_stream();
        assert!(reader.body_bytes() <= bytes.len() as u64);
    }
}
