//! The command itself: how it ends, and what it says.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Output},
};

use nix::sys::signal::Signal;

use crate::{
    client::{Scrape, ask},
    common::{PROGRAM, have},
    serving::Serving,
};

fn root() -> bool {
    have("root", nix::unistd::geteuid().is_root())
}

/// One line on standard error, and an exit code.
fn refused(output: &Output) -> (Option<i32>, String) {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(error.lines().count(), 1, "{error}");
    (output.status.code(), error)
}

fn serve(arguments: &[&str]) -> Output {
    // What is not refused goes on for ever.
    let mut command = Command::new("timeout");
    let serve = ["60", PROGRAM, "serve"];
    command.args(serve).args(arguments).output().unwrap()
}

#[test]
fn a_port_that_is_taken_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (code, error) = refused(&serve(&["--listen", &address]));
    assert_eq!(code, Some(3));
    assert!(
        error.contains(&address) && error.contains("--listen"),
        "{error}"
    );
}

#[test]
fn a_wrong_web_configuration_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    fs::write(&path, "# ours\nbasic_auth_user:\n  a: b\n").unwrap();
    let path = path.to_str().unwrap();
    let listen = ["--listen", "127.0.0.1:0"];
    let (code, error) = refused(&serve(
        &[&listen[..], &["--web.config.file", path]].concat(),
    ));
    assert_eq!(code, Some(2));
    assert!(error.contains(&format!("{path}:2: ")), "{error}");
}

/// What may be there, or be written to its end, at the next start.
#[test]
fn a_file_of_the_web_configuration_that_is_not_there_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    let config = path.to_str().unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--web.config.file", config];
    let (code, error) = refused(&serve(&arguments));
    assert_eq!(code, Some(3));
    assert!(error.contains(config), "{error}");
    let text = "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n";
    fs::write(&path, text).unwrap();
    fs::write(dir.path().join("a.key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let (code, error) = refused(&serve(&arguments));
    assert_eq!(code, Some(3));
    assert!(error.contains("a.key: no private key"), "{error}");
}

#[test]
fn an_interval_that_is_none_is_told() {
    for interval in ["nan", "0", "2h"] {
        let otlp = ["--otlp", "http://127.0.0.1:4318", "--otlp-interval"];
        let output = serve(&[&otlp[..], &[interval]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{interval}: {error}");
        assert!(error.contains("--otlp-interval"), "{interval}: {error}");
    }
}

#[test]
fn a_status_url_that_cannot_be_asked_is_told() {
    let output = serve(&["--status-url", "ftp://127.0.0.1/"]);
    assert_eq!(output.status.code(), Some(2));
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.pem").display().to_string();
    let (code, error) = refused(&serve(&[
        "--listen",
        "127.0.0.1:0",
        "--status-url",
        "https://127.0.0.1/",
        "--cacert",
        &absent,
    ]));
    assert_eq!(code, Some(3));
    assert!(error.contains(&absent), "{error}");
    let (code, error) = refused(&serve(&[
        "--listen",
        "127.0.0.1:0",
        "--insecure",
        "--status-url",
        "https://not_a_name!/",
    ]));
    assert_eq!(code, Some(2));
    assert!(error.contains("not_a_name!"), "{error}");
}

#[test]
fn an_ordinary_user_is_told_that_root_is_needed() {
    if !root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("mpm-observer");
    fs::copy(PROGRAM, &program).unwrap();
    let output = Command::new(&program)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let (code, error) = refused(&output);
    assert_eq!(code, Some(3));
    assert!(error.contains("root"), "{error}");
}

#[test]
fn a_process_that_is_not_there_is_not_waited_for() {
    if !root() {
        return;
    }
    let output = serve(&["--listen", "127.0.0.1:0", "--pid", "99999999"]);
    let (code, error) = refused(&output);
    assert_eq!(code, Some(5));
    assert!(error.contains("99999999"), "{error}");
}

#[test]
fn without_a_server_it_waits_and_a_signal_ends_it_cleanly() {
    if !root() {
        return;
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let serving = Serving::start(&["--unit", "mpm-observer-no-such-unit"]);
        serving.wait_for_line("no httpd runs");
        let scrape = Scrape::of(serving.address);
        assert_eq!(scrape.of_series("mpm_observer_server_watched"), 0.0);
        assert_eq!(scrape.sum("mpm_observer_server_info"), 0.0);
        assert_eq!(scrape.get("apache_up"), None);
        assert_eq!(ask(serving.address, "GET", "/-/healthy", "").status, 200);
        assert_eq!(serving.end(signal), Some(0));
    }
}
