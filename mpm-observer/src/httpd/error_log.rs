//! Reading httpd's error log: the format that the lab's configuration sets, httpd's default format,
//! and the bare lines that httpd prints before it has opened its log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The value of `ErrorLogFormat` that the lab sets: times sort as text, and the thread is the
/// kernel's thread id, as in every other record.
pub(super) const FORMAT: &str = r"[%{cu}t] [%-m:%l] [pid %P:tid %{g}T] %E: [client\ %a] %M";

/// One line of the error log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The time as it is written; empty for a bare line.
    pub time: String,
    /// The time in microseconds since 1970, where the log is in the lab's format, whose times
    /// are UTC.
    pub unix_us: Option<i64>,
    /// The module that wrote it, such as `mpm_event`.
    pub module: Option<String>,
    /// The level, such as `error`.
    pub level: Option<String>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// The kernel's id of the thread; in httpd's default format, a number of the thread library.
    pub tid: Option<u64>,
    /// The system's error number, such as 98 for an address in use.
    pub errno: Option<i32>,
    /// The client's address and port, if the line is about a connection.
    pub client: Option<String>,
    /// The number of the message, such as `AH00161`.
    pub code: Option<String>,
    /// What it says.
    pub message: String,
}

impl LogLine {
    /// Whether it is more than a notice: a warning or an error, or of no known level.
    pub fn is_serious(&self) -> bool {
        !matches!(self.level.as_deref(), Some("notice" | "info" | "debug"))
    }
}

/// Reads one line, without its end. A line of no known form is all message.
pub fn parse_line(line: &str) -> LogLine {
    let mut parsed = LogLine::default();
    let mut rest = line.trim_end();
    let mut first = true;
    loop {
        if let Some((group, after)) = bracket_group(rest) {
            if !take_group(&mut parsed, group, first) {
                break;
            }
            first = false;
            rest = after;
        } else if let Some((errno, after)) = errno_prefix(rest) {
            parsed.errno = Some(errno);
            rest = after;
        } else {
            break;
        }
    }
    if let Some((code, after)) = code_prefix(rest) {
        parsed.code = Some(code.to_owned());
        rest = after;
    }
    rest.clone_into(&mut parsed.message);
    parsed
}

/// The last lines of a log, at most `count`; none when the file does not exist.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn tail(path: &Path, count: usize) -> io::Result<Vec<LogLine>> {
    /// Enough for any number of lines that a person reads.
    const TAIL_BYTES: u64 = 64 * 1024;
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line of a cut file is half a line.
    let lines: Vec<&str> = text.lines().skip(usize::from(start > 0)).collect();
    let first = lines.len().saturating_sub(count);
    Ok(lines[first..].iter().map(|line| parse_line(line)).collect())
}

fn bracket_group(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start().strip_prefix('[')?;
    let (group, after) = text.split_once(']')?;
    Some((group, after.trim_start()))
}

/// Notes what a group in brackets says. False when it belongs to the message.
fn take_group(line: &mut LogLine, group: &str, first: bool) -> bool {
    if let Some(ids) = group.strip_prefix("pid ") {
        let (pid, tid) = ids
            .split_once(":tid ")
            .map_or((ids, None), |(p, t)| (p, Some(t)));
        line.pid = pid.parse().ok();
        line.tid = tid.and_then(|tid| tid.parse().ok());
        return line.pid.is_some();
    }
    if let Some(client) = group.strip_prefix("client ") {
        line.client = Some(client.to_owned());
        return true;
    }
    if first {
        group.clone_into(&mut line.time);
        line.unix_us = utc_us(group);
        return true;
    }
    match group.split_once(':') {
        Some((module, level)) if line.level.is_none() && !group.contains(' ') => {
            // Lines of no module have `-` or nothing before the colon.
            line.module = Some(module.to_owned()).filter(|m| !m.is_empty() && m != "-");
            line.level = Some(level.to_owned());
            true
        }
        _ => false,
    }
}

/// The `(98)Address already in use: ` before a message.
fn errno_prefix(text: &str) -> Option<(i32, &str)> {
    let (number, rest) = text.strip_prefix('(')?.split_once(')')?;
    let number = number.parse().ok()?;
    let (_, after) = rest.split_once(": ")?;
    Some((number, after))
}

/// The `AH00161: ` before a message.
fn code_prefix(text: &str) -> Option<(&str, &str)> {
    let (code, after) = text.split_once(':')?;
    let digits = code.strip_prefix("AH")?;
    let good = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| (code, after.trim_start()))
}

/// Microseconds since 1970 of a time such as `2026-11-22 21:14:00.123456`.
fn utc_us(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.')?;
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if fraction.len() != 6 || !(1..=12).contains(&month) {
        return None;
    }
    let micros: i64 = fraction.parse().ok()?;
    let seconds = (days_since_1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + micros)
}

/// Days from 1970-01-01, by the algorithm of
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_the_lab_s_format_is_read_to_the_last_field() {
        let line = parse_line(
            "[2026-11-22 21:14:00.123456] [mpm_prefork:error] [pid 41:tid 42] AH00161: server \
             reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting",
        );
        assert_eq!(line.unix_us, Some(1_795_382_040_123_456));
        assert_eq!(line.module.as_deref(), Some("mpm_prefork"));
        assert_eq!(line.level.as_deref(), Some("error"));
        assert_eq!((line.pid, line.tid), (Some(41), Some(42)));
        assert_eq!(line.code.as_deref(), Some("AH00161"));
        assert!(
            line.message.starts_with("server reached"),
            "{}",
            line.message
        );
    }

    #[test]
    fn system_error_and_client_are_told_apart_from_the_message() {
        let line = parse_line(
            "[2026-11-22 21:14:00.123456] [core:error] [pid 41:tid 42] (24)Too many open files: \
             [client 127.0.0.1:40000] AH00132: file permissions deny server access: /srv/x",
        );
        assert_eq!(line.errno, Some(24));
        assert_eq!(line.client.as_deref(), Some("127.0.0.1:40000"));
        assert_eq!(line.code.as_deref(), Some("AH00132"));
        assert_eq!(line.message, "file permissions deny server access: /srv/x");
    }

    #[test]
    fn httpd_s_default_format_is_read_too() {
        let line = parse_line(
            "[Sun Nov 22 21:14:00.123456 2026] [mpm_event:notice] [pid 41:tid 139811] AH00489: \
             Apache/2.4.71 (Debian) configured -- resuming normal operations",
        );
        assert_eq!(line.time, "Sun Nov 22 21:14:00.123456 2026");
        assert_eq!(line.unix_us, None);
        assert_eq!(line.tid, Some(139_811));
        assert_eq!(line.code.as_deref(), Some("AH00489"));
    }

    #[test]
    fn bare_lines_of_the_start_keep_code_and_message() {
        let line = parse_line(
            "(98)Address already in use: AH00072: make_sock: could not bind to address 127.0.0.1:80",
        );
        assert_eq!(
            (line.errno, line.code.as_deref()),
            (Some(98), Some("AH00072"))
        );
        let line = parse_line("apache2: Syntax error on line 3 of /x/httpd.conf: no such module");
        assert_eq!(line.code, None);
        assert!(
            line.message.starts_with("apache2: Syntax"),
            "{}",
            line.message
        );
    }

    #[test]
    fn brackets_in_a_message_stay_there() {
        let line = parse_line("[t] [core:info] [pid 1:tid 2] AH00001: a [b:c] d");
        assert_eq!(line.message, "a [b:c] d");
        let line = parse_line("[t] [core:info] [pid 1:tid 2] [odd words: here] x");
        assert_eq!(line.message, "[odd words: here] x");
    }

    #[test]
    fn odd_lines_are_message_and_nothing_panics() {
        for text in [
            "",
            "[",
            "[]",
            "[x",
            "(",
            "(1)",
            "AH1: x",
            "[2026-99-01 1:2:3.000000] y",
        ] {
            let line = parse_line(text);
            assert_eq!(line.code, None, "{text}");
            assert_eq!(line.unix_us, None, "{text}");
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        assert_eq!(days_since_1970(2024, 2, 29), 19_782);
    }

    #[test]
    fn the_tail_of_a_long_log_is_whole_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..5000)
            .map(|n| format!("line number {n} of the log\n"))
            .collect();
        std::fs::write(file.path(), text).unwrap();
        let lines = tail(file.path(), 2).unwrap();
        let messages: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(
            messages,
            ["line number 4998 of the log", "line number 4999 of the log"]
        );
        let all = tail(file.path(), usize::MAX).unwrap();
        assert!(
            all.iter()
                .all(|line| line.message.starts_with("line number"))
        );
        assert!(tail(Path::new("/nonexistent"), 3).unwrap().is_empty());
    }
}
