//! The secret that keeps strangers from using a worker.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A shorter secret can be guessed.
const MIN_BYTES: usize = 16;

/// What is proven, so that a proof is good for nothing else.
const PURPOSE: &[u8] = b"loadgen coordinator";

/// A secret that workers and coordinator share.
///
/// The coordinator proves that it has it by a keyed hash (HMAC-SHA-256) of random bytes
/// from the worker, so the secret itself is never sent and no proof is good twice. What
/// follows is neither encrypted nor signed.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// Takes the content of a file, without white space at its end.
    ///
    /// # Errors
    /// The system's error; of kind `InvalidData` when there are fewer than 16 bytes.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = std::fs::read(path)?;
        let length = bytes.trim_ascii_end().len();
        bytes.truncate(length);
        if length < MIN_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the key has {length} bytes, it must have at least {MIN_BYTES}"),
            ));
        }
        Ok(Self(bytes))
    }

    /// What shows that one has the key.
    pub(super) fn proof(&self, nonce: &str) -> String {
        to_hex(&self.keyed(nonce).finalize().into_bytes())
    }

    /// Whether it was made with this key; takes the same time for every wrong proof.
    pub(super) fn accepts(&self, nonce: &str, proof: &str) -> bool {
        from_hex(proof).is_some_and(|proof| self.keyed(nonce).verify_slice(&proof).is_ok())
    }

    fn keyed(&self, nonce: &str) -> Hmac<Sha256> {
        let mut keyed =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        keyed.update(PURPOSE);
        keyed.update(nonce.as_bytes());
        keyed
    }
}

/// Without the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Random bytes that nobody foresees.
pub(super) fn nonce() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(to_hex(&bytes))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> io::Result<Key> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("written");
        Key::read(file.path())
    }

    #[test]
    fn only_the_same_key_and_nonce_are_accepted() {
        let ours = key("correct horse battery\n").expect("good");
        let same = key("correct horse battery").expect("good");
        let other = key("correct horse battere").expect("good");
        let proof = same.proof("abc");
        assert!(ours.accepts("abc", &proof));
        assert!(!ours.accepts("abd", &proof));
        assert!(!ours.accepts("abc", &other.proof("abc")));
        for bad in ["", "x", "zz", &proof[2..], "äää"] {
            assert!(!ours.accepts("abc", bad), "{bad:?}");
        }
    }

    #[test]
    fn the_proof_is_the_standards() {
        // printf 'loadgen coordinatorabc' | openssl dgst -sha256 -hmac 0123456789abcdef
        let key = key("0123456789abcdef").expect("good");
        assert_eq!(
            key.proof("abc"),
            "9b3eb9559567b07ebddff9f04d3ae600c890b5a1a7076f8bf4ce396caf4ec5ca"
        );
    }

    #[test]
    fn short_keys_are_refused_and_none_is_shown() {
        let error = key("short \n").expect_err("refused").to_string();
        assert!(error.contains("5 bytes"), "{error}");
        assert_eq!(format!("{:?}", key("0123456789abcdef")), "Ok(Key)");
    }

    #[test]
    fn no_two_nonces_are_the_same() {
        let (a, b) = (nonce().expect("random"), nonce().expect("random"));
        assert!(a != b && a.len() == 64, "{a} {b}");
    }
}
