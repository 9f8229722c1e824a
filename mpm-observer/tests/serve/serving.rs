//! `mpm-observer serve` as a process.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    client::{PATIENCE, Scrape},
    common::PROGRAM,
};

/// A running one. Dropping it ends it.
pub struct Serving {
    child: Child,
    lines: Receiver<String>,
    pub address: SocketAddr,
}

impl Serving {
    /// One on a free port.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_by(Command::new(PROGRAM), arguments)
    }

    /// One whose arguments are the last ones of a command, which becomes the program.
    pub fn start_by(mut command: Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let reader = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut serving = Self {
            child,
            lines,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = serving.wait_for_line("serving ");
        let address = line
            .split("//")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        serving.address = address.unwrap().parse().unwrap();
        serving
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard error that begins so.
    pub fn wait_for_line(&self, begin: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line that begins with {begin:?}"));
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// Scrapes until what is wanted holds.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let scrape = Scrape::of(self.address);
            if holds(&scrape) {
                return scrape;
            }
            let text = &scrape.0;
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}\n{text}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends it with a signal; its exit code, `None` if the signal killed it.
    pub fn end(self, signal: Signal) -> Option<i32> {
        self.end_with_lines(signal).0
    }

    /// The same, and what it said that nobody has waited for.
    pub fn end_with_lines(mut self, signal: Signal) -> (Option<i32>, Vec<String>) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Only after a failure is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
