//! A scrape of the metrics.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

use super::churn::connect;

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\
    Accept: application/openmetrics-text\r\n\r\n";

/// Asks for the metrics; returns the number of series.
pub(super) fn scrape(address: SocketAddr) -> io::Result<usize> {
    let mut stream = connect(address)?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    series(&String::from_utf8_lossy(&answer))
}

/// The number of series in an answer, which must be a whole one.
fn series(answer: &str) -> io::Result<usize> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    // OpenMetrics ends with that line, so that half an answer is told from a whole one.
    if !head.starts_with("HTTP/1.1 200 ") || !body.contains("# EOF") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let lines = body.lines();
    Ok(lines
        .filter(|line| line.contains(' ') && !line.starts_with('#'))
        .count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_counted_in_a_whole_answer_only() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text\r\n\r\n";
        let body = "# TYPE a gauge\na 1\nb{c=\"d\"} 2\n";
        assert_eq!(series(&format!("{head}{body}# EOF\n")).unwrap(), 2);
        assert!(series(&format!("{head}{body}")).is_err());
        assert!(series("HTTP/1.1 503 Busy\r\n\r\n# EOF\n").is_err());
        assert!(series("").is_err());
    }
}
