//! ab's report, which loadgen's looks like.

use serde::{Deserialize, Serialize};

use super::leading_number;

/// The numbers of a report, as they are printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AbReport {
    /// "Complete requests".
    pub complete: u64,
    /// "Failed requests".
    pub failed: u64,
    /// Connect, Receive, Length and Exceptions; printed only where something failed.
    pub failures: Option<[u64; 4]>,
    /// "Non-2xx responses"; 0 where the line is missing.
    pub non_2xx: u64,
    /// "Time taken for tests", seconds.
    pub seconds: f64,
    /// "Requests per second".
    pub per_second: f64,
}

impl AbReport {
    /// Reads the report; `None` if there is none.
    #[must_use]
    pub fn read(output: &str) -> Option<Self> {
        let value = |name: &str| {
            output
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let decimal = |text: &str| text.split_whitespace().next()?.parse::<f64>().ok();
        let non_2xx = ["Non-2xx responses:", "Non-2xx/3xx responses:"]
            .into_iter()
            .find_map(value);
        Some(Self {
            complete: leading_number(value("Complete requests:")?)?,
            failed: leading_number(value("Failed requests:")?)?,
            failures: value("   (Connect:").and_then(failures),
            non_2xx: non_2xx.and_then(leading_number).unwrap_or(0),
            seconds: decimal(value("Time taken for tests:")?)?,
            // Without a finished request there is none.
            per_second: value("Requests per second:")
                .and_then(decimal)
                .unwrap_or(0.0),
        })
    }
}

/// The rest of `(Connect: 0, Receive: 10, Length: 39, Exceptions: 10)`.
fn failures(rest: &str) -> Option<[u64; 4]> {
    let mut numbers = rest.split(',').map(|part| {
        let number = part.rsplit(' ').next()?.trim_end_matches(')');
        number.parse().ok()
    });
    Some([
        numbers.next()??,
        numbers.next()??,
        numbers.next()??,
        numbers.next()??,
    ])
}

/// What loadgen says that ab would have counted of the same answers (`--ab-counts`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbAccount {
    /// "Complete requests".
    pub complete: u64,
    /// "Failed requests".
    pub failed: u64,
    /// Connect, Receive, Length and Exceptions.
    pub failures: [u64; 4],
    /// ab's last words, if it would have ended early.
    pub ended: Option<String>,
}

impl AbAccount {
    /// Reads loadgen's output; `None` if it does not say.
    #[must_use]
    pub fn read(output: &str) -> Option<Self> {
        let (_, account) = output.split_once("\nWhat ab ")?;
        let number = |name: &str| {
            let mut lines = account.lines();
            lines.find_map(|line| leading_number(line.trim_start().strip_prefix(name)?))
        };
        let ended = account.lines().find_map(|line| {
            let rest = line.strip_prefix("- ab would have ended here, ")?;
            Some(rest.split_once(": ")?.1.to_owned())
        });
        Some(Self {
            complete: number("Complete requests:")?,
            failed: number("Failed requests:")?,
            failures: [
                number("Connect:")?,
                number("Receive:")?,
                number("Length:")?,
                number("Exceptions:")?,
            ],
            ended,
        })
    }
}

/// How a run of ab ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AbSaid {
    /// With its report.
    Report(AbReport),
    /// At the first error, without one.
    Ended {
        /// "Total of N requests completed", where it says so.
        completed: Option<u64>,
        /// Its last words.
        why: String,
    },
}

impl AbSaid {
    /// Reads standard output and standard error.
    #[must_use]
    pub fn read(output: &str, errors: &str) -> Self {
        if let Some(report) = AbReport::read(output) {
            return Self::Report(report);
        }
        let completed = output.lines().chain(errors.lines()).find_map(|line| {
            let (_, rest) = line.split_once("Total of ")?;
            leading_number(rest)
        });
        let words = |line: &&str| !line.trim().is_empty() && !line.contains("requests completed");
        let why = errors
            .lines()
            .rfind(words)
            .map_or("it ended without a report", str::trim);
        Self::Ended {
            completed,
            why: why.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Benchmarking 127.0.0.1 (be patient).....done


Server Software:        
Document Length:        0 bytes

Concurrency Level:      5
Time taken for tests:   0.005 seconds
Complete requests:      50
Failed requests:        59
   (Connect: 0, Receive: 10, Length: 39, Exceptions: 10)
Non-2xx responses:      10
Total transferred:      1710 bytes
Requests per second:    10399.33 [#/sec] (mean)
Time per request:       0.481 [ms] (mean)
";

    #[test]
    fn all_numbers_of_a_report_are_read() {
        assert_eq!(
            AbSaid::read(REPORT, ""),
            AbSaid::Report(AbReport {
                complete: 50,
                failed: 59,
                failures: Some([0, 10, 39, 10]),
                non_2xx: 10,
                seconds: 0.005,
                per_second: 10399.33,
            })
        );
    }

    #[test]
    fn a_report_without_failures_has_no_kinds_of_them() {
        let text = "Time taken for tests:   1.003 seconds\nComplete requests:      20624\n\
            Failed requests:        0\nKeep-Alive requests:    20624\n\
            Requests per second:    20561.10 [#/sec] (mean)\n";
        let report = AbReport::read(text).unwrap();
        assert_eq!((report.complete, report.failures), (20624, None));
        assert_eq!(report.non_2xx, 0);
    }

    #[test]
    fn a_run_that_ended_at_an_error_says_how_far_it_came_and_why() {
        let output = "Benchmarking 127.0.0.1 (be patient)...Total of 2 requests completed\n";
        let errors = "apr_socket_recv: Connection reset by peer (104)\n";
        assert_eq!(
            AbSaid::read(output, errors),
            AbSaid::Ended {
                completed: Some(2),
                why: "apr_socket_recv: Connection reset by peer (104)".into()
            }
        );
        assert!(matches!(
            AbSaid::read("", ""),
            AbSaid::Ended { completed: None, why } if why.contains("without a report")
        ));
    }

    const OF_LOADGEN: &str = "\
Concurrency Level:      5
Time taken for tests:   0.250 seconds
Complete requests:      50
Failed requests:        3
   (Connect: 1, Receive: 0, Length: 2, Exceptions: 0)
Non-2xx/3xx responses:  4
Requests per second:    200.00 [#/sec] (mean)

What ab 2.4 would have counted           ab         true
Complete requests:                      100           50
Failed requests:                         60            3
   Connect:                               0            1
   Receive:                               5            0
   Length:                               50            2
   Exceptions:                            5            0
Write errors:                             0            -
- 50 closed before or inside their answer are complete for ab: any close ends an answer.
- ab would have ended here, after 100 complete requests and without figures: apr_socket_recv: \
Connection reset by peer (104); ab -r goes on
";

    #[test]
    fn loadgens_own_figures_are_told_from_its_account_of_ab() {
        let report = AbReport::read(OF_LOADGEN).unwrap();
        assert_eq!((report.complete, report.failed, report.non_2xx), (50, 3, 4));
        assert_eq!(report.failures, Some([1, 0, 2, 0]));
        assert_eq!(
            AbAccount::read(OF_LOADGEN),
            Some(AbAccount {
                complete: 100,
                failed: 60,
                failures: [0, 5, 50, 5],
                ended: Some(
                    "apr_socket_recv: Connection reset by peer (104); ab -r goes on".into()
                ),
            })
        );
        let (without, _) = OF_LOADGEN.split_once("\nWhat ab").unwrap();
        assert_eq!(AbAccount::read(without), None);
    }
}
