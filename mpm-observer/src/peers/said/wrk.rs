//! wrk's report.

use super::{Said, leading_number};

/// Answers, and the sum of its socket errors; that an answer has a status above 399 is no failure
/// of the transport.
pub(super) fn read(output: &str) -> Option<Said> {
    let requests = output
        .lines()
        .find(|line| line.contains(" requests in "))
        .and_then(leading_number)?;
    let errors = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Socket errors: "));
    let failed = errors.map_or(Some(0), |errors| {
        errors
            .split(", ")
            .map(|kind| kind.split_once(' ')?.1.parse::<u64>().ok())
            .sum()
    })?;
    Some(Said { requests, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 1s test @ http://127.0.0.1:8098/
  1 threads and 5 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   562.58us    1.16ms   8.69ms   89.32%
  7732 requests in 1.00s, 322.80KB read
  Socket errors: connect 1, read 9662, write 0, timeout 2
  Non-2xx or 3xx responses: 1933
Requests/sec:   7696.71
";

    #[test]
    fn requests_and_all_socket_errors_are_read() {
        assert_eq!(
            read(REPORT),
            Some(Said {
                requests: 7732,
                failed: 9665
            })
        );
    }

    #[test]
    fn no_line_of_errors_is_no_error_and_no_report_is_none() {
        let good = REPORT.replace("Socket errors", "Nothing");
        assert_eq!(read(&good).unwrap().failed, 0);
        assert_eq!(read("unable to connect to 127.0.0.1:1"), None);
    }
}
