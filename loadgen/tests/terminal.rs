//! The view of a running run, on a terminal of its own: it comes, and it goes without a
//! trace, however the run ends.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::{OK, Server};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

/// After this time something is missing.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A run that does not end by itself in the time of a test, on a terminal.
struct OnTerminal {
    child: Child,
    terminal: File,
    before: Termios,
    output: Receiver<String>,
    shown: String,
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    /// What the terminal got.
    shown: String,
    before: Termios,
    after: Termios,
}

impl OnTerminal {
    fn start(args: &[&str]) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).expect("a pseudo terminal");
        let before = tcgetattr(&pty.slave).expect("settings");
        let slave = || Stdio::from(pty.slave.try_clone().expect("cloned"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command
            .args(args)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(slave())
            .stderr(slave())
            .stdout(Stdio::piped());
        // SAFETY: setsid and ioctl are async-signal-safe; standard input is the terminal.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                nix::errno::Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let child = command.spawn().expect("started");
        let terminal = File::from(pty.master);
        let (told, output) = channel();
        let mut reader = terminal.try_clone().expect("cloned");
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Ends with an error when the last one has closed the terminal.
            while let Ok(count) = reader.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..count]).into_owned();
                if count == 0 || told.send(text).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            terminal,
            before,
            output,
            shown: String::new(),
        }
    }

    /// Waits until the terminal has got this.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + LONGEST_WAIT;
        while !self.shown.contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(piece) => self.shown += &piece,
                Err(_) => panic!("no {text:?} in {:?}", self.shown),
            }
        }
    }

    fn press(&mut self, key: &str) {
        self.terminal.write_all(key.as_bytes()).expect("written");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    fn end(mut self) -> Ended {
        let output = self.child.wait_with_output().expect("ended");
        let after = tcgetattr(&self.terminal).expect("settings");
        self.shown.extend(self.output.iter());
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            shown: self.shown,
            before: self.before,
            after,
        }
    }
}

impl Ended {
    fn assert_nothing_is_left(&self) {
        let left = self.shown.rfind(LEFT).expect("the screen was left");
        assert!(self.shown.rfind(ENTERED) < Some(left));
        assert!(self.shown[left..].contains("\x1b[?25h"), "no cursor");
        assert_eq!(self.before, self.after, "the settings are others");
    }
}

#[test]
fn q_ends_the_run_and_leaves_the_terminal_as_it_was() {
    let server = Server::answering(OK);
    let mut run = OnTerminal::start(&["-t", "30", "-c", "2", "-k", &server.url()]);
    run.wait_for(ENTERED);
    run.wait_for("? help");
    run.press("q");
    let ended = run.end();
    assert_eq!(ended.code, Some(130));
    assert!(ended.stdout.contains("Complete requests:"));
    ended.assert_nothing_is_left();
}

#[test]
fn ctrl_c_and_sigterm_leave_the_terminal_as_it_was() {
    let server = Server::answering(OK);
    for by_key in [true, false] {
        let mut run = OnTerminal::start(&["-t", "30", "-c", "2", "-k", &server.url()]);
        run.wait_for(ENTERED);
        run.wait_for("? help");
        if by_key {
            run.press("\x03");
        } else {
            kill(run.pid(), Signal::SIGTERM).expect("alive");
        }
        let ended = run.end();
        assert_eq!(ended.code, Some(130));
        assert!(ended.stdout.contains("Complete requests:"));
        ended.assert_nothing_is_left();
    }
}

#[test]
fn a_run_that_ends_by_itself_leaves_the_terminal_as_it_was() {
    let server = Server::answering(OK);
    let mut run = OnTerminal::start(&["-t", "4", "-c", "2", "-k", &server.url()]);
    run.wait_for(ENTERED);
    let ended = run.end();
    assert_eq!(ended.code, Some(0));
    ended.assert_nothing_is_left();
}

#[test]
fn p_stops_the_drawing_and_goes_on_with_it() {
    let server = Server::answering(OK);
    let mut run = OnTerminal::start(&["-t", "30", "-c", "2", "-k", &server.url()]);
    run.wait_for("p pause");
    run.press("p");
    run.wait_for("draw again");
    run.shown.clear();
    run.press("p");
    run.wait_for("pause");
    run.press("?");
    run.wait_for("stops drawing");
    run.press("q");
    assert_eq!(run.end().code, Some(130));
}

#[test]
fn plain_is_lines_and_quiet_is_nothing() {
    let server = Server::answering(OK);
    let url = server.url();
    let plain = OnTerminal::start(&["-t", "2", "-k", "--plain", &url]).end();
    assert!(!plain.shown.contains('\x1b'), "{:?}", plain.shown);
    assert!(plain.shown.contains("none failed"), "{:?}", plain.shown);
    assert_eq!(plain.before, plain.after);
    let quiet = OnTerminal::start(&["-t", "2", "-k", "-q", &url]).end();
    assert_eq!(quiet.shown, "");
}
