//! Copying and clearing word by word.
//!
//! LLVM makes a call of `memmove` or `memset` out of an assignment of some length, and in an eBPF
//! program those are loops over bytes: they made up more than half of the time of the programs
//! that serve a request (docs/decisions/0004). Volatile writes stay what they are.

/// Copies `from` to `to`.
#[inline(always)]
pub(crate) fn copy<const N: usize>(to: &mut [u64; N], from: &[u64; N]) {
    let mut index = 0;
    while index < N {
        // SAFETY: a valid reference to a word.
        unsafe { core::ptr::write_volatile(&raw mut to[index], from[index]) };
        index += 1;
    }
}

/// Sets each of the given fields to zero.
macro_rules! zero {
    ($($field:expr),+ $(,)?) => {
        $(
            // SAFETY: a valid reference.
            unsafe { core::ptr::write_volatile(&raw mut $field, 0) };
        )+
    };
}
pub(crate) use zero;

/// Sets all of `to` to zero.
#[inline(always)]
pub(crate) fn clear<const N: usize>(to: &mut [u64; N]) {
    let mut index = 0;
    while index < N {
        // SAFETY: a valid reference to a word.
        unsafe { core::ptr::write_volatile(&raw mut to[index], 0) };
        index += 1;
    }
}
