//! httpd's error log on the clock of the kernel's rows.

use std::{fs, io, path::Path};

use crate::{
    httpd::error_log::{self, LogLine},
    recording::Manifest,
};

/// Lines may be so much earlier than what they are about, by the two clocks: their begin is known
/// to a microsecond, and while a run lasts the system may slow or speed one of them by 0.05 %.
pub(super) const CLOCK_BOUND_NS: u64 = 50_000_000;

/// A line with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedLine {
    /// `CLOCK_MONOTONIC`, ns; `None` for a line without a time, which httpd writes before it has
    /// opened its log.
    pub t_ns: Option<u64>,
    /// What it says.
    pub line: LogLine,
}

/// Reads the log of a run.
///
/// # Errors
/// When it is not there or cannot be read.
pub(super) fn read(run_dir: &Path, manifest: &Manifest) -> io::Result<Vec<TimedLine>> {
    let mut text = String::new();
    // What httpd says before it has opened its log stands in the other file.
    for file in ["httpd.out", "error.log"] {
        match fs::read(run_dir.join(file)) {
            Ok(bytes) => {
                text += &String::from_utf8_lossy(&bytes);
                text.push('\n');
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && file == "httpd.out" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(lines(&text, manifest))
}

/// The lines of a log's text.
pub(super) fn lines(text: &str, manifest: &Manifest) -> Vec<TimedLine> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let line = error_log::parse_line(line);
            TimedLine {
                t_ns: line.unix_us.and_then(|us| monotonic_ns(us, manifest)),
                line,
            }
        })
        .collect()
}

/// The monotonic time of a time since 1970; `None` before the machine's start.
fn monotonic_ns(unix_us: i64, manifest: &Manifest) -> Option<u64> {
    let began =
        i128::from(manifest.began_unix_s) * 1_000_000_000 + i128::from(manifest.began_subsec_ns);
    let since_begin = i128::from(unix_us) * 1000 - began;
    u64::try_from(i128::from(manifest.began_ns) + since_begin).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{recording::Status, report::made_up::rows::manifest, scenario::Mpm};

    #[test]
    fn a_line_gets_the_time_of_the_kernel_s_clock() {
        let mut manifest = manifest(Mpm::Event, 1, Status::Complete);
        // 2026-11-22 21:14:00.25 UTC
        manifest.began_unix_s = 1_795_382_040;
        manifest.began_subsec_ns = 250_000_000;
        manifest.began_ns = 5_000_000_000;
        let text = "[2026-11-22 21:14:01.000001] [mpm_event:error] [pid 1:tid 2] AH00484: x\n\n\
                    AH00072: make_sock: no time\n\
                    [2026-11-22 21:13:59.000000] [mpm_event:error] [pid 1:tid 2] AH00484: x\n\
                    [1999-11-22 21:13:59.000000] [mpm_event:error] [pid 1:tid 2] AH00484: x";
        let times: Vec<Option<u64>> = lines(text, &manifest).iter().map(|l| l.t_ns).collect();
        assert_eq!(
            times,
            [Some(5_750_001_000), None, Some(3_750_000_000), None]
        );
    }
}
