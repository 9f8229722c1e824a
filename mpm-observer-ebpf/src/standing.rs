//! standing: the sockets that are there when a watch of a running server begins.
//!
//! The kernel runs it once for each TCP socket of a network namespace. What a connection that
//! stands did before is not known: neither when it was established, nor whether a request is under
//! way. So the first request that is read on it may be the end of one.

use core::ffi::c_void;

use mpm_observer_common::{Counter, RequestFlags};

use crate::{
    conns::{TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN, note_ends},
    maps::{add_conn_that_stood, conn, count, listener, set_listener},
    memory::{field, is_in_network, offset, place_of, probe},
};

/// `bpf_iter__tcp(bpf_iter_meta *meta, sock_common *sk_common, …)`: null at the end.
#[unsafe(link_section = "iter/tcp")]
#[unsafe(no_mangle)]
pub extern "C" fn iter_tcp(ctx: *const *const c_void) -> i32 {
    // SAFETY: the second argument. A constant, as it must be of a context; volatile so that it
    // stays a load of its own.
    let sk = unsafe { core::ptr::read_volatile(ctx.add(1)) };
    if sk.is_null() {
        return 0;
    }
    let Some(place) = place_of(field(sk, offset!(sk_num))) else {
        return 0;
    };
    if !is_in_network(sk) {
        return 0;
    }
    // Other states belong to sockets that are less than a whole one, or that the server has closed.
    match i32::from(field::<u8>(sk, offset!(sk_state))) {
        TCP_LISTEN => {
            if listener(place) == 0 {
                set_listener(place, sk as u64);
            }
        }
        TCP_ESTABLISHED | TCP_CLOSE_WAIT => stands(sk),
        _ => {}
    }
    0
}

#[inline(always)]
fn stands(sk: *const c_void) {
    let Some(conn) = add_conn_that_stood(sk as u64) else {
        // One that was established meanwhile is followed already.
        if conn(sk as u64).is_none() {
            count(Counter::ConnsStoodUnfollowed);
        }
        return;
    };
    count(Counter::ConnsStood);
    note_ends(&mut conn.request, sk);
    // In the accept queue it belongs to no file yet. To the verifier it is only the part of a
    // socket that all kinds have, so the rest is read as any memory.
    if probe::<u64>(sk, offset!(sk_socket)).is_some_and(|socket| socket != 0) {
        conn.request.flags = RequestFlags::IN_PART;
    }
}
