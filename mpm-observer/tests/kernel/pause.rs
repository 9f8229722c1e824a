//! Programs that are detached and attached again.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use mpm_observer::{kernel::Options, scenario::Mpm};

use super::{Seen, Watched, exchange};

/// One request on a connection of its own; returns the client's port.
fn ask(watched: &Watched) -> u16 {
    let mut stream = TcpStream::connect(watched.addr).unwrap();
    let port = stream.local_addr().unwrap().port();
    exchange(&mut stream, "/alive.txt", true);
    port
}

/// Waits for the record of the request, which is made when the server ends the connection: the
/// client has its answer before that.
fn wait_for(watched: &mut Watched, seen: &mut Seen, port: u16) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while seen.of_port(port).is_empty() {
        assert!(Instant::now() < deadline, "no record of port {port}");
        seen.take(&mut watched.watch);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_happens_in_a_pause_is_in_no_record_and_what_comes_after_it_is() {
    let Some(mut watched) = Watched::start(Mpm::Event, Options::for_port) else {
        return;
    };
    let mut seen = Seen::default();
    let before = ask(&watched);
    wait_for(&mut watched, &mut seen, before);
    let mut established = watched.own_requests as u64 + 1;
    let (mut missed, mut after) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        watched.watch.pause().unwrap();
        // A second time is without effect.
        watched.watch.pause().unwrap();
        missed.push(ask(&watched));
        let counters = watched.watch.counters().unwrap();
        assert_eq!(counters.conns_established, established);
        watched.watch.resume().unwrap();
        watched.watch.resume().unwrap();
        let port = ask(&watched);
        wait_for(&mut watched, &mut seen, port);
        after.push(port);
        established += 1;
        let counters = watched.watch.counters().unwrap();
        assert_eq!(counters.conns_established, established);
    }
    let counters = watched.finish(&mut seen);
    assert_eq!(seen.of_port(before).len(), 1);
    for port in missed {
        assert_eq!(seen.of_port(port).len(), 0, "a request in a pause");
    }
    for port in after {
        assert_eq!(seen.of_port(port).len(), 1, "a request after a pause");
    }
    assert_eq!(counters.lost(), 0);
}
