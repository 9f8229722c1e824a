//! The screen on a pseudo-terminal of its own: it comes, shows a real server under load, and goes
//! without a trace, however it ends.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use loadgen::{Config, Progress, hold::Kind};
use mpm_observer::scenario::Mpm;
use nix::{
    libc,
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};

use crate::{
    common::PROGRAM,
    watching::{DEADLINE, Stand},
};

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

const COLUMNS: usize = 80;
const LINES: usize = 24;

/// What a terminal shows that understands where the cursor is put and clears itself.
struct Cells {
    cells: [[char; COLUMNS]; LINES],
    at: (usize, usize),
    /// The begin of an order whose end has not come.
    order: String,
}

impl Cells {
    const fn new() -> Self {
        Self {
            cells: [[' '; COLUMNS]; LINES],
            at: (0, 0),
            order: String::new(),
        }
    }

    fn take(&mut self, text: &str) {
        for letter in text.chars() {
            if self.order.is_empty() && letter != '\x1b' {
                self.put(letter);
                continue;
            }
            self.order.push(letter);
            let is_whole = self.order.len() > 2 && ('@'..='~').contains(&letter);
            if is_whole {
                let order = std::mem::take(&mut self.order);
                self.obey(&order[2..order.len() - 1], letter);
            }
        }
    }

    fn put(&mut self, letter: char) {
        let (line, column) = self.at;
        if !letter.is_control() && line < LINES && column < COLUMNS {
            self.cells[line][column] = letter;
            self.at.1 += 1;
        }
    }

    fn obey(&mut self, numbers: &str, what: char) {
        let mut numbers = numbers
            .split(';')
            .map(|number| number.parse().unwrap_or(1_usize));
        match what {
            'H' => {
                let line = numbers.next().unwrap_or(1);
                self.at = (line - 1, numbers.next().unwrap_or(1) - 1);
            }
            'J' => *self = Self::new(),
            _ => {}
        }
    }

    fn text(&self) -> String {
        let lines = self
            .cells
            .iter()
            .map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }
}

struct OnTerminal {
    child: Child,
    terminal: File,
    before: Termios,
    output: Receiver<String>,
    /// All that the terminal got.
    shown: String,
    cells: Cells,
}

struct Ended {
    code: Option<i32>,
    said: String,
    shown: String,
    before: Termios,
    after: Termios,
}

impl OnTerminal {
    fn start(stand: &Stand, arguments: &[&str]) -> Self {
        let size = Winsize {
            ws_row: LINES as u16,
            ws_col: COLUMNS as u16,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let slave = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new(PROGRAM);
        command
            .args(["top", "--pid", &stand.httpd().pid().to_string()])
            .args(arguments)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(slave())
            .stdout(slave())
            .stderr(Stdio::piped());
        // SAFETY: setsid and ioctl are async-signal-safe; standard input is the terminal.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                nix::errno::Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let terminal = File::from(pty.master);
        let (told, output) = channel();
        let mut reader = terminal.try_clone().unwrap();
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
            cells: Cells::new(),
        }
    }

    /// Waits until the screen shows this.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        while !self.cells.text().contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(piece) => {
                    self.cells.take(&piece);
                    self.shown += &piece;
                }
                Err(_) => panic!("no {text:?} on\n{}", self.cells.text()),
            }
        }
    }

    fn press(&mut self, key: &str) {
        self.terminal.write_all(key.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        let code = self.child.wait().unwrap().code();
        let after = tcgetattr(&self.terminal).unwrap();
        self.shown.extend(self.output.iter());
        Ended {
            code,
            said,
            shown: self.shown,
            before: self.before,
            after,
        }
    }
}

impl Ended {
    fn assert_nothing_is_left(&self) {
        let left = self.shown.rfind(LEFT).expect("the screen was left");
        assert!(self.shown[..left].contains(ENTERED));
        assert!(self.shown[left..].contains("\x1b[?25h"), "no cursor");
        assert!(!self.shown[left..].contains(ENTERED));
        assert_eq!(self.before, self.after, "the settings are others");
        assert_eq!(self.said, "");
    }
}

/// Requests without an end.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Load {
    fn start(stand: &Stand) -> Self {
        let mut config = Config::new(stand.target("/alive.txt"));
        config.duration = Some(10 * DEADLINE);
        config.concurrency = 2;
        config.keep_alive = true;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let ran = loadgen::run(&config, None, &Progress::default(), &stopped);
            ran.unwrap().requests
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.thread.join().unwrap() > 0);
    }
}

#[test]
fn a_server_under_load_is_shown_and_q_leaves_the_terminal_as_it_was() {
    let Some((stand, _)) = Stand::start(Mpm::Worker, "") else {
        return;
    };
    let _kept = stand.hold(Kind::IdleKeepAlive, 3, "/alive.txt");
    let load = Load::start(&stand);
    let mut top = OnTerminal::start(&stand, &["--interval", "200ms"]);
    top.wait_for("worker MPM");
    top.wait_for("of 10 busy");
    top.wait_for("keep-alive");
    top.wait_for("from arrival to sent");
    top.wait_for("on CPU");
    top.press("?");
    top.wait_for("A slot is a task that can serve");
    top.press("?");
    top.wait_for("accept queue");
    top.press("s");
    top.wait_for("sort: request");
    top.press("p");
    top.wait_for("paused");
    top.press("p");
    top.wait_for("q quit");
    top.press("q");
    let ended = top.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    ended.assert_nothing_is_left();
    load.stop();
    stand.stop();
}

#[test]
fn ctrl_c_and_sigterm_leave_the_terminal_as_it_was() {
    let Some((stand, _)) = Stand::start(Mpm::Event, "") else {
        return;
    };
    for (signal, code) in [(None, 0), (Some(Signal::SIGTERM), 130)] {
        let mut top = OnTerminal::start(&stand, &[]);
        top.wait_for("of 10 busy");
        match signal {
            None => top.press("\x03"),
            Some(signal) => top.signal(signal),
        }
        let ended = top.end();
        assert_eq!(ended.code, Some(code), "{}", ended.said);
        ended.assert_nothing_is_left();
    }
    stand.stop();
}

#[test]
fn the_end_of_a_server_that_was_named_by_its_process_is_told() {
    let Some((stand, _)) = Stand::start(Mpm::Prefork, "") else {
        return;
    };
    let mut top = OnTerminal::start(&stand, &["--interval", "200ms"]);
    top.wait_for("of 10 busy");
    stand.stop();
    top.wait_for("has ended");
    top.wait_for("names no other to wait for");
    top.wait_for("nobody listens");
    top.press("q");
    let ended = top.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    ended.assert_nothing_is_left();
}
