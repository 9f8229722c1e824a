//! The 64 bits that come back with a completion: what it is of.

/// What was asked of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Write a request. Only failures come back.
    Send = 0,
    /// Read.
    Receive = 1,
    /// Wait until the socket takes bytes.
    AwaitWritable = 2,
    /// Close or cancel: whatever comes back is of no interest.
    Farewell = 3,
}

/// Of which connection of which slot, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) slot: u32,
    /// The how-manieth connection of its slot: what comes late from a connection that
    /// was closed is not taken for the next one's. It begins anew after 2^30
    /// connections, by when nothing of the first is left.
    pub(super) generation: u32,
    pub(super) kind: Kind,
}

const KIND_BITS: u32 = 2;

/// Generations are counted modulo 2 to the power of this.
const GENERATION_BITS: u32 = 30;

/// The generation after this one.
pub(super) fn next_generation(generation: u32) -> u32 {
    (generation + 1) & ((1 << GENERATION_BITS) - 1)
}

impl Tag {
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.slot) << 32
            | u64::from(self.generation) << KIND_BITS
            | u64::from(self.kind as u8)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        let low = bits as u32;
        Self {
            slot: (bits >> 32) as u32,
            generation: low >> KIND_BITS,
            kind: match low & ((1 << KIND_BITS) - 1) {
                0 => Kind::Send,
                1 => Kind::Receive,
                2 => Kind::AwaitWritable,
                _ => Kind::Farewell,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_was() {
        let kinds = [
            Kind::Send,
            Kind::Receive,
            Kind::AwaitWritable,
            Kind::Farewell,
        ];
        for slot in [0, 1, 20_000, u32::MAX] {
            for generation in [0, 1, (1 << GENERATION_BITS) - 1] {
                for kind in kinds {
                    let tag = Tag {
                        slot,
                        generation,
                        kind,
                    };
                    assert_eq!(Tag::from_bits(tag.to_bits()), tag);
                }
            }
        }
    }

    #[test]
    fn generations_differ_from_their_neighbours_and_begin_anew() {
        let last = (1 << GENERATION_BITS) - 1;
        assert_eq!(next_generation(0), 1);
        assert_eq!(next_generation(last), 0);
        let tag = |generation| Tag {
            slot: 7,
            generation,
            kind: Kind::Receive,
        };
        assert_ne!(tag(last).to_bits(), tag(0).to_bits());
    }
}
