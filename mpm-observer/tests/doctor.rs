//! `mpm-observer doctor`: what it says of where it runs, and to whom.

mod common;

use std::{
    io::pipe,
    process::{Command, Stdio},
};

use common::{PROGRAM, have};
use nix::unistd::geteuid;

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut doctor = Command::new(PROGRAM);
    doctor.arg("doctor").stdout(writer).stderr(Stdio::piped());
    let unread = doctor.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&unread.stderr), "");
    // It tells the same as to one that reads.
    let read = Command::new(PROGRAM).arg("doctor").output().unwrap();
    assert_eq!(unread.status.code(), read.status.code());
    assert!(!read.stdout.is_empty());
}

#[test]
fn a_pid_namespace_of_its_own_is_marked() {
    if !have("root", geteuid().is_root()) {
        return;
    }
    let line = |command: &mut Command| {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("pid namespace"));
        (line.expect("a line").to_owned(), output.status.code())
    };
    let (own, _) = line(Command::new(PROGRAM).arg("doctor"));
    assert!(own.starts_with("ok "), "{own}");
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--mount-proc", PROGRAM, "doctor"]);
    let (other, code) = line(&mut unshare);
    assert!(
        other.starts_with("MISSING") && other.contains("--pid=host"),
        "{other}"
    );
    assert_eq!(code, Some(3));
}
