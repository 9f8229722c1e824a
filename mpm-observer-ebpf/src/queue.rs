//! queue: connections that found the server's accept queue full, and those that its side reset.
//!
//! The last packet of a handshake that finds the queue full is dropped for a reason of its own
//! (`kfree_skb`). The first one is not: the kernel counts it and lets go of it as of any packet
//! that it is done with (`consume_skb`); there it is told by the queue, which is full.

use core::ffi::{c_int, c_void};

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use mpm_observer_common::{FailureRecord, FailureSource};

use crate::{
    conns::TCP_LISTEN,
    failures::fail,
    maps::listener,
    memory::{field, find_port, listen_overflow, network, offset, place_of, probe},
};

const IPPROTO_TCP: u8 = 6;
/// What a TCP header can measure.
const HEADER_BYTES: core::ops::RangeInclusive<u32> = 20..=60;
const TCP_SYN: u8 = 2;
const TCP_ACK: u8 = 1 << 4;

/// What is looked at of a TCP packet's header.
struct Packet {
    source: u16,
    destination: u16,
    flags: u8,
}

/// The TCP header of a packet whose network header is known; `None` if it is none of TCP.
#[inline(always)]
fn packet(skb: *const c_void) -> Option<Packet> {
    let head: u64 = field(skb, offset!(skb_head));
    let start: u16 = field(skb, offset!(skb_network_header));
    let network = head.wrapping_add(u64::from(start));
    let first: u8 = probe(network as *const c_void, 0)?;
    let (protocol_at, length) = match first >> 4 {
        4 => (9, u64::from(first & 0xf) * 4),
        6 => (6, 40),
        _ => return None,
    };
    if probe::<u8>(network as *const c_void, protocol_at)? != IPPROTO_TCP {
        return None;
    }
    let header: [u8; 14] = probe(network.wrapping_add(length) as *const c_void, 0)?;
    Some(Packet {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
        flags: header[13],
    })
}

/// Length and limit of the accept queue of the port in `place`; `None` if the server does not
/// listen there or nobody waits.
#[inline(always)]
fn queue(place: u32) -> Option<(u32, u32)> {
    let listener = listener(place);
    if listener == 0 {
        return None;
    }
    let listener = listener as *const c_void;
    let length: u32 = probe(listener, offset!(sk_ack_backlog))?;
    if length == 0 {
        return None;
    }
    let limit: u32 = probe(listener, offset!(sk_max_ack_backlog))?;
    Some((length, limit))
}

/// Whether the accept queue of the port in `place` has no room.
#[inline(always)]
fn is_full(place: u32) -> bool {
    queue(place).is_some_and(|(length, limit)| length > limit)
}

/// Whether what was the socket that listens on `port`, in `place`, still is.
#[inline(always)]
fn still_listens(place: u32, port: u16) -> bool {
    let listener = listener(place) as *const c_void;
    probe::<u16>(listener, offset!(sk_num)) == Some(port)
        && probe::<u8>(listener, offset!(sk_state)).map(i32::from) == Some(TCP_LISTEN)
}

#[inline(always)]
fn note_queue(record: &mut FailureRecord, packet: &Packet, place: u32) {
    record.remote_port = u32::from(packet.source);
    if let Some((length, limit)) = queue(place) {
        record.queue_length = length;
        record.queue_limit = limit;
    }
}

/// `kfree_skb(sk_buff *skb, void *location, enum skb_drop_reason reason, …)`
#[btf_tracepoint]
pub fn kfree_skb(ctx: BtfTracePointContext) -> i32 {
    let reason: c_int = ctx.arg(2);
    if reason as u32 != listen_overflow() {
        return 0;
    }
    // A packet does not tell its network. If others may have the port too, it is the server's
    // queue that must hold something.
    if let Some(packet) = packet(ctx.arg(0))
        && let Some(place) = place_of(packet.destination)
        && (network() == 0 || queue(place).is_some())
    {
        fail(FailureSource::QueueFull, |record| {
            note_queue(record, &packet, place);
        });
    }
    0
}

/// `consume_skb(sk_buff *skb, …)`
#[btf_tracepoint]
pub fn consume_skb(ctx: BtfTracePointContext) -> i32 {
    // This is on the way of many packets. One that begins a handshake is a header alone at this
    // point, and hardly ever does anybody wait.
    let skb: *const c_void = ctx.arg(0);
    if !HEADER_BYTES.contains(&field::<u32>(skb, offset!(skb_len))) {
        return 0;
    }
    if find_port(|place, _| is_full(place)).is_none() {
        return 0;
    }
    if let Some(packet) = packet(skb)
        && let Some(place) = place_of(packet.destination)
        && packet.flags & (TCP_SYN | TCP_ACK) == TCP_SYN
        && is_full(place)
        && still_listens(place, packet.destination)
    {
        fail(FailureSource::SynRefused, |record| {
            note_queue(record, &packet, place);
        });
    }
    0
}

/// Whether a socket, which may be missing, is in another network than the server's. Read as any
/// memory: the kernel would not survive a plain load through null. The comparison is for kernels
/// that know that it may be missing: they let nothing be added to it before.
#[inline(always)]
fn is_of_other_network(sk: *const c_void) -> bool {
    network() != 0
        && !sk.is_null()
        && probe::<u64>(sk, offset!(sk_net))
            .and_then(|net| probe::<u32>(net as *const c_void, offset!(net_number)))
            .is_some_and(|number| number != network())
}

/// `tcp_send_reset(const sock *sk, const sk_buff *skb, …)`: the packet is the one that is answered
/// with the reset, if it is an answer. Either may be missing. The verifier of some kernels takes them
/// for given and removes a comparison with null; what is read through null is zero then.
#[btf_tracepoint]
pub fn tcp_send_reset(ctx: BtfTracePointContext) -> i32 {
    let skb: *const c_void = ctx.arg(1);
    let sk: *const c_void = ctx.arg(0);
    let answered = if skb.is_null() { None } else { packet(skb) };
    if is_of_other_network(sk) {
        return 0;
    }
    let remote_port = if let Some(packet) = answered {
        // A connection that is refused because nobody listens was never the server's.
        if place_of(packet.destination).is_none() || packet.flags & (TCP_SYN | TCP_ACK) == TCP_SYN {
            return 0;
        }
        packet.source
    // Its number is gone already if the kernel sends the reset by itself.
    } else if !sk.is_null()
        && let Some(number) = probe::<u16>(sk, offset!(inet_sport))
        && place_of(u16::from_be(number)).is_some()
    {
        u16::from_be(field(sk, offset!(sk_dport)))
    } else {
        return 0;
    };
    fail(FailureSource::Reset, |record| {
        record.remote_port = u32::from(remote_port);
    });
    0
}
