//! HTTP/1.1 over TLS: exact counts, and every way in which TLS can fail has its outcome.

#[path = "../common/certificates.rs"]
mod certificates;
#[path = "../common/mod.rs"]
mod common;
mod endings;
mod requests;
mod server;
mod trust;

use loadgen::{Config, Outcome, Row, Summary, TlsFailure};

use certificates::{Authority, Kind};
use common::{config, outcomes, run};
use server::{Tls, TlsServer};

/// A run of 100 requests, 10 at once, with a certificate that is as it should be.
fn good(behaviour: fn(Tls), change: fn(&mut Config)) -> (Summary, Vec<Row>) {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server(&Kind::GOOD, &[]), behaviour);
    let mut config = config(server.tcp.addr, 100, 10);
    authority.trust(&mut config);
    change(&mut config);
    run(&config)
}

/// Every request must fail by TLS in this way, and the summary must say why.
fn fails(config: &Config, failure: TlsFailure, reason: &str) {
    let (summary, rows) = run(config);
    let requests = config.requests.expect("a number");
    assert_eq!(outcomes(&summary), [(Outcome::ConnectFailed, requests)]);
    let text = summary.tls_failure.expect("a reason");
    assert!(text.contains(reason), "{text}");
    for row in rows {
        assert_eq!((row.detail, row.errno), (failure as u8, 0));
        assert_eq!(row.first_byte_ns, 0);
    }
}
