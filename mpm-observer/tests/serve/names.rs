//! A machine whose name service does not answer.

use std::{fs, net::UdpSocket, process::Command, time::Instant};

use nix::{sys::signal::Signal, unistd::geteuid};

use crate::{
    client::PATIENCE,
    common::{PROGRAM, have, network::Network},
    serving::Serving,
};

/// Two minutes and more, for as long as the C library lets one question take.
const RESOLVER: &str = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n";
const TIMEOUT: &str = "mpm_observer_status_requests_total{outcome=\"timeout\"}";

#[test]
fn a_name_that_is_still_looked_up_does_not_hold_up_the_end() {
    if !have("root", geteuid().is_root()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut script = String::new();
    for (name, text) in [("resolv.conf", RESOLVER), ("nsswitch.conf", "hosts: dns\n")] {
        let own = dir.path().join(name);
        fs::write(&own, text).unwrap();
        // Without such a file the C library asks 127.0.0.1 too.
        let own = own.display();
        script += &format!("[ ! -e /etc/{name} ] || mount --bind {own} /etc/{name} || exit 1; ");
    }
    script += "exec \"$0\" \"$@\"";
    let network = Network::new();
    network.within(|| {
        // It takes questions, and answers none.
        let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, PROGRAM]);
        let serving = Serving::start_by(
            command,
            &[
                // It waits.
                "--unit",
                "mpm-observer-no-such-unit",
                "--status-url",
                "http://nowhere.example/",
                "--otlp",
                "http://nowhere.example:4318",
                "--otlp-interval",
                "1s",
            ],
        );
        serving.wait_until("the name was looked up in vain", |scrape| {
            scrape.get(TIMEOUT).is_some_and(|timeouts| timeouts >= 1.0)
        });
        let told = Instant::now();
        assert_eq!(serving.end(Signal::SIGTERM), Some(0));
        assert!(told.elapsed() < PATIENCE, "{:?}", told.elapsed());
    });
}
