//! The kernel side: follows one server's tasks and connections through tracepoints, folds what
//! happens per task and per connection, and emits one record per request and one per task.
//!
//! A program leaves in a few instructions for tasks and sockets that are not the server's.
#![no_std]
#![no_main]

mod accept;
mod conns;
mod faults;
mod maps;
mod memory;
mod requests;
mod sched;
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
