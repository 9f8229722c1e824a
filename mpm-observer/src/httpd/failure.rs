//! Why httpd did not start.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error_log::LogLine;
use super::find::FindError;
use super::protocol::ExitStatus;
use super::runtime_dir::RuntimeDirError;

/// The number of httpd's message that another program has the port.
const PORT_IN_USE: &str = "AH00072";

/// Why httpd did not start. Where httpd ran at all, its last words are included.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// This httpd cannot run the MPM.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The runtime directory cannot be written.
    #[error(transparent)]
    RuntimeDir(#[from] RuntimeDirError),
    /// A file cannot be written or run.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A limit or a CPU cannot be set, or the program cannot be run.
    #[error("httpd was not started: {message}")]
    Launch {
        /// The reason.
        message: String,
    },
    /// The guard process ended or does not answer.
    #[error("the guard of httpd does not work: {message}")]
    Guard {
        /// What is known.
        message: String,
    },
    /// httpd's first process ended before it was ready.
    #[error("httpd ended with {status} after {} ms{}", .after.as_millis(), words(.log_tail))]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// How long it had run.
        after: Duration,
        /// Its last words.
        log_tail: Vec<LogLine>,
    },
    /// httpd runs, but was not ready in time.
    #[error(
        "httpd was not ready after {} ms: {what}{}", .after.as_millis(), words(.log_tail)
    )]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// What was missing.
        what: String,
        /// The number of slots that there were, where mod_status told.
        slots: Option<u32>,
        /// Its last words.
        log_tail: Vec<LogLine>,
    },
}

impl StartFailure {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        StartFailure::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// What httpd logged at its end; empty where it did not run.
    pub fn log_tail(&self) -> &[LogLine] {
        match self {
            StartFailure::Exited { log_tail, .. } | StartFailure::TimedOut { log_tail, .. } => {
                log_tail
            }
            _ => &[],
        }
    }

    /// What happened and httpd's errors, on one line: without its notices, which say how it was
    /// built and called.
    pub fn in_one_line(&self) -> String {
        let whole = self.to_string();
        let mut text = whole.lines().next().unwrap_or_default().to_owned();
        let errors = self
            .log_tail()
            .iter()
            .filter(|line| !matches!(line.level.as_deref(), Some("notice" | "info" | "debug")));
        for (index, line) in errors.enumerate() {
            text += if index == 0 { ": " } else { "; " };
            if let Some(code) = &line.code {
                text += code;
                text.push(' ');
            }
            text += &line.message;
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The numbers of httpd's messages, such as `AH02325`, in their order, none twice.
    pub fn codes(&self) -> Vec<&str> {
        let mut codes = Vec::new();
        for code in self
            .log_tail()
            .iter()
            .filter_map(|line| line.code.as_deref())
        {
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        codes
    }

    /// Whether httpd did not even run, so that this says nothing about the run's MPM and limits.
    pub fn is_setup(&self) -> bool {
        !matches!(
            self,
            StartFailure::Exited { .. } | StartFailure::TimedOut { .. }
        )
    }

    /// Whether another program had the port: then another port is worth a try.
    pub fn is_port_in_use(&self) -> bool {
        self.codes().contains(&PORT_IN_USE)
    }
}

fn words(lines: &[LogLine]) -> String {
    let mut text = String::new();
    for line in lines {
        let code = line
            .code
            .as_deref()
            .map(|code| format!("{code}: "))
            .unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {code}{}", line.message);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::httpd::error_log::parse_line;

    #[test]
    fn one_line_has_what_happened_and_the_errors_without_the_notices() {
        let log_tail = [
            "[Sun Nov 22 22:10:22.000001 2026] [core:notice] [pid 7:tid 7] AH00094: Command line: 'x'",
            "[Sun Nov 22 22:10:22.000002 2026] [mpm_worker:alert] [pid 8:tid 8] (11)Resource \
             temporarily unavailable: AH03142: ap_thread_create: unable to create worker thread",
            "[Sun Nov 22 22:10:22.000003 2026] [mpm_worker:alert] [pid 7:tid 7] AH02325: no child",
        ]
        .map(parse_line)
        .to_vec();
        let failure = StartFailure::TimedOut {
            after: Duration::from_millis(3020),
            what: "no answer".into(),
            slots: None,
            log_tail,
        };
        let line = failure.in_one_line();
        assert!(
            line.starts_with("httpd was not ready after 3020 ms: no answer: AH03142 "),
            "{line}"
        );
        assert!(line.ends_with("; AH02325 no child"), "{line}");
        assert!(!line.contains("AH00094") && !line.contains('\n'), "{line}");
    }
}
