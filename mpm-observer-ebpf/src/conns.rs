//! conns: the life of a connection, from established to its end, and the arrival of bytes.
//!
//! `inet_sock_set_state` begins and ends it; `sk_data_ready` on the listener, which follows at
//! once on the same CPU, tells when it was queued for accept, and on the connection itself when
//! bytes arrived. With `TCP_DEFER_ACCEPT` the kernel establishes a connection only when its first
//! bytes arrive, so a client that is connected and silent is not seen.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::warn;
use mpm_observer_common::{Address, Counter, RecordKind, RequestFlags, RequestRecord, TraceKind};

use crate::{
    maps::{
        add_conn, conn, count, listener, remove_conn, set_last_established, set_listener,
        take_last_established,
    },
    memory::{field, is_in_network, offset, place_of, probe},
    requests::finish,
    trace::Traced,
};

const AF_INET6: u16 = 10;

pub(crate) const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_RECV: i32 = 3;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
pub(crate) const TCP_CLOSE_WAIT: i32 = 8;
const TCP_LAST_ACK: i32 = 9;
pub(crate) const TCP_LISTEN: i32 = 10;

/// Whether a socket's own port is the server's.
#[inline(always)]
pub(crate) fn is_ours(sk: *const c_void) -> bool {
    place_of(field(sk, offset!(sk_num))).is_some()
}

/// `inet_sock_set_state(const sock *sk, int oldstate, int newstate)`
#[btf_tracepoint]
pub fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    let sk: *const c_void = ctx.arg(0);
    let old_state: i32 = ctx.arg(1);
    let new_state: i32 = ctx.arg(2);
    match (place_of(field(sk, offset!(sk_num))), new_state) {
        (Some(place), TCP_LISTEN) if is_in_network(sk) => set_listener(place, sk as u64),
        (Some(_), TCP_ESTABLISHED) if old_state == TCP_SYN_RECV && is_in_network(sk) => {
            established(&ctx, sk);
        }
        (Some(place), _) if old_state == TCP_LISTEN => {
            if listener(place) == sk as u64 {
                set_listener(place, 0);
            }
        }
        // The server's own end: nothing is sent after these. A connection that is reset has given
        // its port back by then and is known by its socket alone; those of others are in no table.
        (Some(_), TCP_FIN_WAIT1 | TCP_LAST_ACK) | (_, TCP_CLOSE) => ended(sk),
        _ => {}
    }
    0
}

#[inline(always)]
fn established(ctx: &BtfTracePointContext, sk: *const c_void) {
    count(Counter::ConnsEstablished);
    let Some(conn) = add_conn(sk as u64) else {
        if count(Counter::ConnsUnfollowed) == 1 {
            warn!(ctx, "connection table full: connections are not followed");
        }
        return;
    };
    let request = &mut conn.request;
    // SAFETY: no arguments.
    request.established_ns = unsafe { bpf_ktime_get_ns() };
    note_ends(request, sk);
    set_last_established(sk as u64);
    Traced::of(sk, request.established_ns).emit(TraceKind::Established);
}

/// Writes down whose the record of a new connection is: both ends of it.
#[inline(always)]
pub(crate) fn note_ends(request: &mut RequestRecord, sk: *const c_void) {
    request.kind = RecordKind::Request as u32;
    request.local_port = field(sk, offset!(sk_num));
    request.remote_port = u16::from_be(field(sk, offset!(sk_dport)));
    if field::<u16>(sk, offset!(sk_family)) == AF_INET6 {
        request.local_addr = probe(sk, offset!(sk_v6_rcv_saddr)).unwrap_or_default();
        request.remote_addr = probe(sk, offset!(sk_v6_daddr)).unwrap_or_default();
    } else {
        request.local_addr = mapped(field(sk, offset!(sk_rcv_saddr)));
        request.remote_addr = mapped(field(sk, offset!(sk_daddr)));
    }
}

/// `::ffff:a.b.c.d`; `address` as the kernel keeps it, in network byte order.
#[inline(always)]
fn mapped(address: u32) -> Address {
    let [a, b, c, d] = address.to_ne_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn ended(sk: *const c_void) {
    let Some(conn) = conn(sk as u64) else {
        return;
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let (sent, lost) = (Counter::LastRequestsSent, Counter::LastRequestsLost);
    // A request that arrived and was never read is one more record.
    if conn.is_picked_up() {
        conn.request.flags |= RequestFlags::AT_END;
        if conn.full != 0 {
            conn.request.flags |= RequestFlags::UNREAD_BY_CLIENT;
        }
        if !conn.has_unread() {
            conn.request.flags |= RequestFlags::CONN_ENDED;
        }
        finish(conn, now_ns, sent, lost);
    }
    if conn.take_unread() {
        conn.request.flags |= RequestFlags::CONN_ENDED | RequestFlags::AT_END;
        finish(conn, now_ns, sent, lost);
    }
    Traced::of(sk, now_ns).emit(TraceKind::Ended);
    remove_conn(sk as u64);
}

/// `sk_data_ready(const sock *sk)`
#[btf_tracepoint]
pub fn sk_data_ready(ctx: BtfTracePointContext) -> i32 {
    let sk: *const c_void = ctx.arg(0);
    let Some(place) = place_of(field(sk, offset!(sk_num))) else {
        return 0;
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    match i32::from(field::<u8>(sk, offset!(sk_state))) {
        TCP_LISTEN => {
            // A server that listened before it was watched.
            if listener(place) == 0 && is_in_network(sk) {
                set_listener(place, sk as u64);
            }
            let queued = take_last_established();
            if let Some(conn) = conn(queued) {
                conn.request.queued_ns = now_ns;
                Traced {
                    conn: queued,
                    remote_port: conn.request.remote_port,
                    ..Traced::at(now_ns)
                }
                .emit(TraceKind::Queued);
            }
        }
        // In any later state it is the client's end that has arrived.
        TCP_ESTABLISHED => {
            if let Some(conn) = conn(sk as u64) {
                conn.arrived(now_ns);
                Traced::of(sk, now_ns).emit(TraceKind::Arrived);
            }
        }
        _ => {}
    }
    0
}
