//! A short soak; `cargo xtask bench soak` makes long ones.

use std::process::Command;

use crate::common::{PROGRAM, dir_of_lab};

fn nothing_grows(mpm: &str) {
    if dir_of_lab().is_none() {
        return;
    }
    let soaked = Command::new(PROGRAM)
        .args(["__bench", "soak", "--mpm", mpm, "--seconds", "30"])
        .args(["--graceful-every", "1.5", "--whole-every", "3"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&soaked.stdout);
    let errors = String::from_utf8_lossy(&soaked.stderr);
    assert!(soaked.status.success(), "{text}\n{errors}");
    assert!(text.trim_end().ends_with("\n  flat"), "{text}\n{errors}");
}

#[test]
fn nothing_grows_while_everything_comes_and_goes_with_prefork() {
    nothing_grows("prefork");
}

#[test]
fn nothing_grows_while_everything_comes_and_goes_with_worker() {
    nothing_grows("worker");
}

#[test]
fn nothing_grows_while_everything_comes_and_goes_with_event() {
    nothing_grows("event");
}
