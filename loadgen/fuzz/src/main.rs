//! Fuzz target: the parser of answers. `cargo xtask fuzz` runs it.
#![no_main]

/// The parser's own source, not the library: nothing else need be built with the counters
/// that guide the search.
#[path = "../../src/response/mod.rs"]
#[allow(
    dead_code,
    reason = "the engines use more of it than the property does"
)]
mod response;

mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
