//! The kernel side: follows one server's tasks and connections through tracepoints, folds what
//! happens per task and per connection, and emits one record per request, per task and per failure.
//!
//! A program leaves in a few instructions for tasks and sockets that are not the server's.
#![no_std]
#![no_main]
// Additions that are atomic; the core library has none for this target.
#![feature(asm_experimental_arch)]

mod accept;
mod calls;
mod conns;
mod failures;
mod faults;
mod limits;
mod maps;
mod memory;
mod queue;
mod requests;
mod sched;
mod signals;
mod standing;
mod tasks;
mod trace;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

// The helpers used are reserved for programs under the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
