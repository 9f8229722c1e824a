//! Whether the body of an answer is the right one, without I/O.

use std::cell::RefCell;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::{BodyCheck, Config};

/// Length and hash of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Body {
    bytes: u64,
    sha256: [u8; 32],
}

/// What one thread knows of the right bodies.
pub(super) struct BodyRules {
    check: BodyCheck,
    /// The first body of each URL.
    first: RefCell<Vec<Option<Body>>>,
}

impl BodyRules {
    /// The rules of a run; `None` when bodies are not looked at.
    pub(super) fn of(config: &Config) -> Option<Rc<Self>> {
        let check = config.verify_body?;
        let first = RefCell::new(vec![None; config.targets.len()]);
        Some(Rc::new(Self { check, first }))
    }

    fn allow(&self, url: u16, body: Body) -> bool {
        match self.check {
            BodyCheck::Sha256(sha256) => body.sha256 == sha256,
            BodyCheck::First => {
                let mut first = self.first.borrow_mut();
                *first[usize::from(url)].get_or_insert(body) == body
            }
        }
    }
}

/// Reads along with one answer after the other.
pub(super) struct BodyVerifier {
    rules: Rc<BodyRules>,
    bytes: u64,
    hash: Sha256,
}

impl BodyVerifier {
    pub(super) fn new(rules: &Rc<BodyRules>) -> Self {
        Self {
            rules: Rc::clone(rules),
            bytes: 0,
            hash: Sha256::new(),
        }
    }

    /// Begins with the next answer.
    pub(super) fn reset(&mut self) {
        self.bytes = 0;
        self.hash = Sha256::new();
    }

    /// Takes the next piece of the body.
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.hash.update(piece);
    }

    /// Whether the whole body is the right one for this URL. The first of a URL may become
    /// the measure of the others by this.
    pub(super) fn is_right(&self, url: u16) -> bool {
        let body = Body {
            bytes: self.bytes,
            sha256: self.hash.clone().finalize().into(),
        };
        self.rules.allow(url, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Target, WeightedTarget};

    fn rules(check: BodyCheck) -> Rc<BodyRules> {
        let target = Target::parse("http://127.0.0.1/").expect("good");
        let mut config = Config::new(target.clone());
        config.targets.push(WeightedTarget { target, weight: 1 });
        assert!(BodyRules::of(&config).is_none());
        config.verify_body = Some(check);
        BodyRules::of(&config).expect("bodies are checked")
    }

    fn is_right(rules: &Rc<BodyRules>, url: u16, pieces: &[&str]) -> bool {
        let mut verifier = BodyVerifier::new(rules);
        verifier.take(b"of an answer before");
        verifier.reset();
        for piece in pieces {
            verifier.take(piece.as_bytes());
        }
        verifier.is_right(url)
    }

    #[test]
    fn the_first_body_of_each_url_is_the_measure_of_the_others() {
        let rules = rules(BodyCheck::First);
        assert!(is_right(&rules, 0, &["hello"]));
        assert!(is_right(&rules, 1, &["other"]));
        assert!(is_right(&rules, 0, &["hel", "lo"]));
        assert!(!is_right(&rules, 0, &["other"]));
        assert!(!is_right(&rules, 0, &["hell"]));
        assert!(!is_right(&rules, 0, &[]));
        assert!(is_right(&rules, 0, &["hello"]));
    }

    #[test]
    fn a_given_hash_is_the_measure_of_all() {
        // The empty message of FIPS 180-4's examples.
        let sha256 = [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f,
            0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
            0x78, 0x52, 0xb8, 0x55,
        ];
        let rules = rules(BodyCheck::Sha256(sha256));
        assert!(!is_right(&rules, 0, &["x"]));
        assert!(is_right(&rules, 0, &[]) && is_right(&rules, 1, &[""]));
    }
}
