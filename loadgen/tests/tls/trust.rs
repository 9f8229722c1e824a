//! Whom the client trusts and who it is, and what it says when that does not do.

use std::process::Command;
use std::sync::atomic::AtomicBool;

use loadgen::{Config, EngineKind, Outcome, Progress, Target, TlsFailure};
use tokio_rustls::rustls::version;

use crate::certificates::{Authority, Kind};
use crate::common::{OK, Server, config, outcomes, run};
use crate::fails;
use crate::server::TlsServer;

#[test]
fn an_unknown_issuer_is_named_and_can_be_accepted() {
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &[]));
    let mut config = config(server.tcp.addr, 20, 4);
    let other = Authority::new();
    other.trust(&mut config);
    fails(&config, TlsFailure::Certificate, "UnknownIssuer");
    config.ca_file = None;
    config.insecure = true;
    let (summary, _) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
    assert_eq!(summary.tls_failure, None);
}

#[test]
fn another_name_and_a_past_date_are_not_accepted() {
    let authority = Authority::new();
    let other_name = Kind {
        name: "example.org",
        ..Kind::GOOD
    };
    let expired = Kind {
        expired: true,
        ..Kind::GOOD
    };
    for (kind, reason) in [(other_name, "not valid for name"), (expired, "expired")] {
        let server = TlsServer::answering(authority.server(&kind, &[]));
        let mut config = config(server.tcp.addr, 20, 4);
        authority.trust(&mut config);
        fails(&config, TlsFailure::Certificate, reason);
    }
}

#[test]
fn tls_1_2_is_spoken_too() {
    let authority = Authority::new();
    let tls = authority.server_with(&Kind::GOOD, &[], &[&version::TLS12], false);
    let server = TlsServer::answering(tls);
    let mut config = config(server.tcp.addr, 20, 4);
    authority.trust(&mut config);
    let (summary, _) = run(&config);
    assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::new();
    for versions in [&version::TLS12, &version::TLS13] {
        let tls = authority.server_with(&Kind::GOOD, &[], &[versions], true);
        let server = TlsServer::answering(tls);
        let mut config = config(server.tcp.addr, 20, 4);
        authority.trust(&mut config);
        fails(&config, TlsFailure::Handshake, "received fatal alert");
        let certificate = authority.issue(&Kind::GOOD);
        config.client_certificate = Some(certificate.path().to_owned());
        let (summary, _) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
    }
}

#[test]
fn what_cannot_be_used_is_named_before_the_run() {
    let server = Server::answering(OK);
    let refused = |change: &dyn Fn(&mut Config), word: &str| {
        let mut config = config(server.addr, 1, 1);
        let authority = Authority::new();
        authority.trust(&mut config);
        change(&mut config);
        let error = loadgen::run(&config, None, &Progress::new(), &AtomicBool::new(false));
        let text = error.expect_err("must be refused").to_string();
        assert!(text.contains(word), "{text}");
    };
    refused(
        &|c| c.ca_file = Some("/nonexistent/ca".into()),
        "/nonexistent/ca",
    );
    refused(&|c| c.ca_file = Some("/dev/null".into()), "no certificate");
    refused(
        &|c| c.client_certificate = Some("/dev/null".into()),
        "/dev/null",
    );
    refused(&|c| c.engine = Some(EngineKind::Epoll), "hyper");
    refused(
        &|c| {
            let mut other = c.targets[0].clone();
            other.target.host = "example.org".into();
            c.targets.push(other);
        },
        "one host",
    );
    assert_eq!(server.requests(), 0);
}

#[test]
fn the_command_line_says_what_to_do_about_an_unknown_issuer() {
    let authority = Authority::new();
    let server = TlsServer::answering(authority.server(&Kind::GOOD, &[]));
    let url = Target::http(server.tcp.addr, "/")
        .url()
        .replace("http:", "https:");
    let loadgen = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["-n", "10", "-q"])
            .args(args)
            .arg(&url)
            .output()
            .expect("started");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), text)
    };
    let ca = authority.path().display().to_string();
    let other = Authority::new();
    let other_ca = other.path().display().to_string();
    let (code, text) = loadgen(&["--cacert", &other_ca]);
    assert_eq!(code, Some(1));
    for words in [
        "could not connect",
        "UnknownIssuer",
        "--cacert",
        "--insecure",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    let (code, text) = loadgen(&["--cacert", &ca]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = loadgen(&["--insecure", "-k"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Connections opened: 1;"), "{text}");
}
