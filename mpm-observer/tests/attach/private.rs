//! A private httpd under each MPM.

use std::{
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use mpm_observer::{
    httpd::{Role, RuntimeDir},
    recording::KernelRow,
    scenario::Mpm,
};
use mpm_observer_common::RequestFlags;

use super::{
    attached::{Attached, requests},
    common::{
        GRACE, Place, small,
        watched::{exchange, kernel},
    },
};

/// Keeps requests coming, on kept and on new connections, until `stop`; returns how many.
pub fn steady(addr: SocketAddr, path: &str, stop: &AtomicBool) -> usize {
    let mut served = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(addr).unwrap();
        for number in 0..5 {
            exchange(&mut stream, path, number == 4);
            served += 1;
        }
    }
    served
}

fn it_is_followed_under_load(mpm: Mpm) {
    const REQUESTS: usize = 50;
    let Some(kernel) = kernel() else { return };
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let (httpd, _) = place.start(&runtime, &small(mpm, "warm", ""));
    let (addr, stop) = (httpd.addr(), AtomicBool::new(false));
    thread::scope(|scope| {
        let load = scope.spawn(|| steady(addr, "/alive.txt", &stop));
        // However this ends, the load does.
        let attached = std::panic::catch_unwind(|| {
            let mut attached = Attached::to(&kernel, httpd.pid());
            let client = || requests(addr, "/alive.txt", REQUESTS);
            for record in attached.serve(REQUESTS, client) {
                assert_eq!(record.flags & RequestFlags::IN_PART, 0);
                assert!(KernelRow::from(&record).is_whole(), "{record:?}");
                assert!(record.established_ns != 0 && record.accepted_ns != 0);
            }
            // Both children have served by then, or will have.
            let expected = |attached: &Attached| {
                let roles = attached.roles();
                let count = |role| roles.get(&role).copied().unwrap_or(0);
                let children = count(Role::Child);
                match mpm {
                    Mpm::Prefork => (count(Role::Parent), children) == (1, 10),
                    Mpm::Worker | Mpm::Event => {
                        (count(Role::Parent), children) == (1, 2)
                            && count(Role::Listener) >= 1
                            && count(Role::Worker) >= 1
                    }
                }
            };
            attached.until("the roles are right", expected);
            attached
        });
        stop.store(true, Ordering::Relaxed);
        assert!(load.join().unwrap() > 0);
        attached.unwrap().check_books();
    });
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

#[test]
fn a_prefork_under_load_is_followed() {
    it_is_followed_under_load(Mpm::Prefork);
}

#[test]
fn a_worker_under_load_is_followed() {
    it_is_followed_under_load(Mpm::Worker);
}

#[test]
fn an_event_under_load_is_followed() {
    it_is_followed_under_load(Mpm::Event);
}

fn kept_connections_from_before_appear(mpm: Mpm) {
    const KEPT: usize = 3;
    let Some(kernel) = kernel() else { return };
    let Some(place) = Place::new() else { return };
    let runtime = RuntimeDir::create_in(&place.base()).unwrap();
    let mut plan = small(mpm, "warm", "");
    plan.server.keep_alive_timeout_s = 300;
    let (httpd, _) = place.start(&runtime, &plan);
    let mut streams: Vec<TcpStream> = (0..KEPT)
        .map(|_| TcpStream::connect(httpd.addr()).unwrap())
        .collect();
    for stream in &mut streams {
        exchange(stream, "/alive.txt", false);
    }

    let mut attached = Attached::to(&kernel, httpd.pid());
    // Those by which it was seen that httpd is ready may stand for a moment too.
    assert!(attached.watch.counters().unwrap().conns_stood >= KEPT as u64);
    let look = attached.look();
    assert!(look.connections.open >= KEPT as u32, "{look:?}");
    assert_eq!(look.connections.unaccepted, 0, "{look:?}");
    let ports: Vec<u16> = streams
        .iter()
        .map(|stream| stream.local_addr().unwrap().port())
        .collect();
    for stream in &mut streams {
        exchange(stream, "/alive.txt", false);
        exchange(stream, "/alive.txt", true);
    }
    drop(streams);
    attached.until("their requests are seen", |attached| {
        let of_each = ports.iter().map(|port| attached.seen.of_port(*port).len());
        of_each.min() >= Some(2)
    });
    for port in ports {
        let records = attached.seen.of_port(port);
        let ordinals: Vec<u32> = records.iter().map(|record| record.ordinal).collect();
        assert_eq!(ordinals, [0, 1]);
        for record in &records {
            assert_eq!(record.established_ns, 0, "{record:?}");
            assert_eq!(record.local_port, httpd.addr().port());
            assert!(record.pickup_ns != 0 && record.last_send_ns != 0);
        }
        // What came before is not known, so the first may be the end of one.
        let whole: Vec<bool> = records
            .iter()
            .map(|record| KernelRow::from(record).is_whole())
            .collect();
        assert_eq!(whole, [false, true]);
        let in_part = records[0].flags & RequestFlags::IN_PART;
        assert_eq!(in_part, RequestFlags::IN_PART);
    }
    attached.check_books();
    assert_eq!(httpd.stop(GRACE).unwrap().left, Vec::<u32>::new());
}

#[test]
fn kept_connections_of_a_prefork_from_before_appear() {
    kept_connections_from_before_appear(Mpm::Prefork);
}

#[test]
fn kept_connections_of_a_worker_from_before_appear() {
    kept_connections_from_before_appear(Mpm::Worker);
}

#[test]
fn kept_connections_of_an_event_from_before_appear() {
    kept_connections_from_before_appear(Mpm::Event);
}
