//! Which slot runs out of time next.
//!
//! All timeouts are equally long, so deadlines are set in the order in which they
//! end: a linked list through the slots is always sorted, and setting, clearing and
//! finding the next cost the same however many there are.

/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    at_ns: u64,
    before: u32,
    after: u32,
    linked: bool,
}

/// At most one deadline for each slot.
pub(super) struct Deadlines {
    nodes: Vec<Node>,
    first: u32,
    last: u32,
}

impl Deadlines {
    pub(super) fn new(slots: u32) -> Self {
        let unlinked = Node {
            at_ns: 0,
            before: NONE,
            after: NONE,
            linked: false,
        };
        Self {
            nodes: vec![unlinked; slots as usize],
            first: NONE,
            last: NONE,
        }
    }

    /// Sets a slot's deadline; it must not be earlier than those set before.
    pub(super) fn set(&mut self, slot: u32, at_ns: u64) {
        self.clear(slot);
        self.nodes[slot as usize] = Node {
            at_ns,
            before: self.last,
            after: NONE,
            linked: true,
        };
        match self.last {
            NONE => self.first = slot,
            last => self.nodes[last as usize].after = slot,
        }
        self.last = slot;
    }

    /// Takes a slot's deadline away, if it has one.
    pub(super) fn clear(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        if !node.linked {
            return;
        }
        match node.before {
            NONE => self.first = node.after,
            before => self.nodes[before as usize].after = node.after,
        }
        match node.after {
            NONE => self.last = node.before,
            after => self.nodes[after as usize].before = node.before,
        }
        self.nodes[slot as usize].linked = false;
    }

    /// The earliest deadline.
    pub(super) fn next_ns(&self) -> Option<u64> {
        (self.first != NONE).then(|| self.nodes[self.first as usize].at_ns)
    }

    /// Takes away and returns a slot whose deadline has passed.
    pub(super) fn pop_passed(&mut self, now_ns: u64) -> Option<u32> {
        let slot = self.first;
        if self.next_ns()? > now_ns {
            return None;
        }
        self.clear(slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_pass_in_order_and_only_when_due() {
        let mut deadlines = Deadlines::new(3);
        assert_eq!(
            (deadlines.next_ns(), deadlines.pop_passed(99)),
            (None, None)
        );
        deadlines.set(2, 10);
        deadlines.set(0, 20);
        deadlines.set(1, 30);
        assert_eq!(deadlines.pop_passed(9), None);
        assert_eq!(deadlines.pop_passed(20), Some(2));
        assert_eq!(deadlines.pop_passed(20), Some(0));
        assert_eq!(deadlines.pop_passed(20), None);
        assert_eq!(deadlines.next_ns(), Some(30));
    }

    #[test]
    fn a_deadline_can_be_cleared_or_set_anew_anywhere_in_the_list() {
        for moved in 0..3 {
            let mut deadlines = Deadlines::new(3);
            for slot in 0..3 {
                deadlines.set(slot, 10);
            }
            deadlines.set(moved, 11);
            let mut order: Vec<u32> = (0..3).filter(|slot| *slot != moved).collect();
            order.push(moved);
            let passed: Vec<u32> = std::iter::from_fn(|| deadlines.pop_passed(11)).collect();
            assert_eq!(passed, order);
            deadlines.set(1, 20);
            deadlines.clear(1);
            deadlines.clear(1);
            assert_eq!(deadlines.next_ns(), None);
        }
    }
}
