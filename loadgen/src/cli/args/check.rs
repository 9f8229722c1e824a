//! What the answers are held against.

use clap::Args;
use loadgen::BodyCheck;

/// Checks of the answers.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Compare length and SHA-256 of each body below status 400 with the thread's first from
    /// the same URL, or its SHA-256 with the one given; bodies are then read, not dropped in
    /// the kernel
    #[arg(
        long,
        value_name = "SHA256",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "first",
        value_parser = body_check
    )]
    pub(super) verify_body: Option<BodyCheck>,
}

fn body_check(text: &str) -> Result<BodyCheck, String> {
    if text == "first" {
        return Ok(BodyCheck::First);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let digits: Option<Vec<u32>> = text.bytes().map(digit).collect();
    let bytes: Option<[u8; 32]> = digits.and_then(|digits| {
        let (pairs, odd) = digits.as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| (high * 16 + low) as u8);
        bytes
            .collect::<Vec<_>>()
            .try_into()
            .ok()
            .filter(|_| odd.is_empty())
    });
    bytes
        .map(BodyCheck::Sha256)
        .ok_or_else(|| "must be a SHA-256 in 64 hexadecimal digits, as sha256sum prints it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_from_its_digits() {
        assert_eq!(body_check("first"), Ok(BodyCheck::First));
        let mut expected = [0xAB; 32];
        expected[0] = 0x0c;
        let text = format!("0C{}", "ab".repeat(31));
        assert_eq!(body_check(&text), Ok(BodyCheck::Sha256(expected)));
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert!(body_check(bad).is_err(), "{bad:?}");
        }
    }
}
