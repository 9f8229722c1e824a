//! The property of the fuzz target, over its seeds and mutations of them: a bounded run, the
//! same on every machine.

use loadgen::response;

#[path = "../fuzz/src/property.rs"]
mod property;

/// Mutations of each seed.
const MUTATIONS: usize = 2000;

/// What answers are made of: put in where chance will have it.
const WORDS: [&[u8]; 22] = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"0\r\n\r\n",
    b"0;x=y\r\nT: v\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 304 Not Modified\r\n",
    b"ffffffffffffffff\r\n",
    b"A:\r\n b\r\n",
    b",",
    b";",
    b"\0",
    b"\xff",
    b"5\r\nhello\r\n",
];

fn seeds() -> Vec<Vec<u8>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("the seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed"))
        .collect()
}

#[test]
fn every_seed_is_read_alike_however_it_is_cut() {
    let seeds = seeds();
    assert!(seeds.len() >= 20, "{}", seeds.len());
    for seed in seeds {
        for cuts in 0..=255 {
            property::check(&[&[0, cuts], &seed[2..]].concat());
            property::check(&[&[1, cuts], &seed[2..]].concat());
        }
        for end in 0..=seed.len() {
            property::check(&seed[..end]);
        }
    }
}

#[test]
fn mutated_seeds_are_read_alike_however_they_are_cut() {
    let mut chance = fastrand::Rng::with_seed(5);
    let seeds = seeds();
    for seed in &seeds {
        for _ in 0..MUTATIONS {
            let mut input = seed.clone();
            for _ in 0..chance.usize(1..6) {
                mutate(&mut input, &seeds, &mut chance);
            }
            property::check(&input);
        }
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut fastrand::Rng) {
    let at = chance.usize(..=input.len());
    match chance.u8(..6) {
        0 if at < input.len() => input[at] = chance.u8(..),
        1 if at < input.len() => input[at] ^= 1 << chance.u8(..8),
        2 => {
            let end = (at + chance.usize(..20)).min(input.len());
            input.drain(at..end);
        }
        3 => {
            let other = &seeds[chance.usize(..seeds.len())];
            let tail = chance.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[tail..]);
        }
        4 => {
            let end = (at + chance.usize(..200)).min(input.len());
            let part = input[at..end].to_vec();
            input.splice(at..at, part);
        }
        _ => {
            let word = WORDS[chance.usize(..WORDS.len())];
            input.splice(at..at, word.iter().copied());
        }
    }
}

#[test]
fn heads_of_the_longest_kind_are_read_alike_however_they_are_cut() {
    use response::HEAD_MAX_BYTES;
    let head = b"\0\0HTTP/1.1 200 OK\r\n";
    for (filler, end) in [
        (&b"A: b\r\n c\r\n"[..], &b"\r\n"[..]),
        (b"x", b"\r\n\r\n"),
        (b"A:\n", b"\n"),
        (b"A: \0", b"\r\n\r\n"),
    ] {
        for length in [HEAD_MAX_BYTES - 60, HEAD_MAX_BYTES, HEAD_MAX_BYTES + 60] {
            let field = if filler == b"x" { &b"X: "[..] } else { b"" };
            let mut input = [head, field].concat();
            input.extend(filler.iter().cycle().take(length - input.len() - end.len()));
            // Whole lines only, so that some of them are good.
            while filler.ends_with(b"\n") && input.last() != Some(&b'\n') {
                input.pop();
            }
            input.extend_from_slice(end);
            input.extend_from_slice(b"garbage \0 behind it");
            property::check(&input);
        }
    }
}
