//! What ab's -v tells of each request.

use std::io::{self, Write};

use loadgen::{Config, Row, RowSink};

/// The request as it is sent, as ab -v 2 prints it.
pub(super) fn request(config: &Config) -> String {
    let request = config.request_bytes();
    let head = request.strip_suffix(&config.body[..]).unwrap_or(&request);
    let head = String::from_utf8_lossy(head);
    format!("INFO: {} header ==\n---\n{head}\n---\n", config.method)
}

/// Prints a line for each request that its level asks for.
pub(super) struct Verbose {
    pub(super) level: u8,
}

impl RowSink for Verbose {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in rows.iter().filter_map(|row| line(row, self.level)) {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

fn line(row: &Row, level: u8) -> Option<String> {
    if row.outcome.is_answered() {
        return match row.status {
            200..=299 if level >= 3 => Some(format!("LOG: Response code = {}", row.status)),
            200..=299 => None,
            status if level >= 2 => Some(format!("WARNING: Response code not 2xx ({status})")),
            _ => None,
        };
    }
    let errno = match row.errno {
        0 => String::new(),
        number => {
            let number = i32::from(number);
            let text = nix::errno::Errno::from_raw(number).desc();
            format!(": {text} ({number})")
        }
    };
    (level >= 1).then(|| format!("LOG: {}{errno}", row.outcome.meaning()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::Target;

    #[test]
    fn the_request_stands_between_abs_lines_without_its_body() {
        let mut config = Config::new(Target::parse("http://127.0.0.1:81/x").expect("good"));
        config.body = b"secret".to_vec();
        let text = request(&config);
        assert!(
            text.starts_with("INFO: GET header ==\n---\nGET /x HTTP/1.1\r\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\r\n\r\n\n---\n") && !text.contains("secret"),
            "{text}"
        );
    }
}
