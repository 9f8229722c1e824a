//! One noisy or long command: a line for the user, the rest in a log file.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::failure::Failure;
use crate::paths::Paths;

/// How many of the last lines of a failed step's log are shown.
const SHOWN_LINES: usize = 60;
/// A step that is over sooner says nothing, so that a command with nothing to do is quiet.
const QUIET_TIME: Duration = Duration::from_millis(1500);
/// How often a step is looked at, while it may end in a moment and later.
const POLL_INTERVALS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

/// A command to run, with what the user is told about it.
pub struct Step<'a> {
    /// What is done, as in "building bpf-linker".
    pub what: &'a str,
    /// How long it is expected to take, as in "about 50 s, once per checkout".
    pub expected: &'a str,
    /// The name of the log file, without its extension.
    pub log: &'a str,
}

impl Step<'_> {
    /// Runs `command`, which says what it does when it takes longer than a moment.
    pub fn run(&self, paths: &Paths, command: &mut Command) -> Result<()> {
        let logs = paths.logs();
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let log = logs.join(self.log).with_extension("log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let program = command.get_program().to_os_string();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share the log file")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;

        let status = self.wait(child, &log)?;
        if status.success() {
            return Ok(());
        }
        show_end(&log);
        Err(Failure::Program {
            what: format!("{} (log: {})", self.what, log.display()),
            status: exit_code(status),
        }
        .into())
    }

    /// Waits for the end; on a terminal the line counts the seconds.
    fn wait(&self, mut child: Child, log: &Path) -> Result<ExitStatus> {
        let line = format!("{} ({}; log: {})", self.what, self.expected, log.display());
        let terminal = io::stderr().is_terminal();
        let started = Instant::now();
        let mut shown_s = None;
        let status = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a program")? {
                break status;
            }
            let elapsed = started.elapsed();
            let is_long = elapsed >= QUIET_TIME;
            if is_long {
                if terminal && shown_s != Some(elapsed.as_secs()) {
                    eprint!("\r{line} {} s", elapsed.as_secs());
                    // A terminal that went away is no reason to stop the build.
                    let _ = io::stderr().flush();
                } else if !terminal && shown_s.is_none() {
                    eprintln!("{line}");
                }
                shown_s = Some(elapsed.as_secs());
            }
            thread::sleep(POLL_INTERVALS[usize::from(is_long)]);
        };
        if terminal && shown_s.is_some() {
            eprintln!();
        }
        Ok(status)
    }
}

/// The status that a shell would report for a program's end.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn show_end(log: &Path) {
    match fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            for line in last_lines(&text, SHOWN_LINES) {
                eprintln!("  {line}");
            }
        }
        Err(error) => eprintln!("cannot read {}: {error}", log.display()),
    }
}

fn last_lines(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let skipped = text.lines().count().saturating_sub(count);
    text.lines().skip(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_keeps_its_order() {
        assert_eq!(last_lines("a\nb\nc\n", 2).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(last_lines("a\n", 2).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_death_by_signal_is_reported_as_a_shell_does() {
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(4 << 8)), 4);
    }
}
