//! Connections that the client resets: by then they have no port any more.

use std::{
    net::TcpStream,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use mpm_observer::{kernel::Options, scenario::Mpm};
use mpm_observer_common::RequestFlags;
use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt::Linger},
};

use super::{Seen, Watched, exchange};

fn a_request_whose_connection_the_client_resets_is_recorded(mpm: Mpm) {
    let Some(mut watched) = Watched::start(mpm, Options::for_port) else {
        return;
    };
    let mut ports = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(watched.addr).unwrap();
        ports.push(stream.local_addr().unwrap().port());
        exchange(&mut stream, "/alive.txt", false);
        let now = linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream.as_fd(), Linger, &now).unwrap();
    }
    let mut seen = Seen::default();
    let deadline = Instant::now() + Duration::from_secs(60);
    while ports.iter().any(|port| seen.of_port(*port).is_empty()) {
        assert!(Instant::now() < deadline, "a request without a record");
        seen.take(&mut watched.watch);
        std::thread::sleep(Duration::from_millis(5));
    }
    for port in &ports {
        let [request] = seen.of_port(*port)[..] else {
            panic!("one request on port {port}");
        };
        let ended = RequestFlags::AT_END | RequestFlags::CONN_ENDED;
        assert_eq!(request.flags, ended);
        assert!(request.last_send_ns > 0);
    }
    let left = watched.watch.connections().unwrap();
    assert!(
        left.iter()
            .all(|held| !ports.contains(&held.request.remote_port)),
        "a connection that was reset is still held"
    );
    let counters = watched.finish(&mut seen);
    assert!(counters.balanced(), "{counters:?}");
    assert_eq!(counters.lost(), 0);
}

#[test]
fn a_request_whose_connection_the_client_resets_is_recorded_with_prefork() {
    a_request_whose_connection_the_client_resets_is_recorded(Mpm::Prefork);
}

#[test]
fn a_request_whose_connection_the_client_resets_is_recorded_with_event() {
    a_request_whose_connection_the_client_resets_is_recorded(Mpm::Event);
}
