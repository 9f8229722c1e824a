//! What the server says that it served: its access log and mod_status.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The format of the log: how the connection was left, the status, the path.
pub(super) const LOG_FORMAT: &str = "%X %>s %U";

/// The server's own count of the requests for one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Requests in the access log.
    pub logged: u64,
    /// Of them, those whose connection broke before the answer was out.
    pub cut_off: u64,
    /// How many had which status.
    pub by_status: BTreeMap<u16, u64>,
    /// What mod_status's "Total Accesses" grew by, its own pages left out. `None` where httpd did
    /// not run.
    pub total_accesses: Option<u64>,
}

impl Served {
    /// Counts the lines for `path`. A line that was not finished is none: httpd writes each at
    /// once.
    pub(super) fn of_log(log: &str, path: &str) -> Self {
        let mut served = Self::default();
        for line in log.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(left), Some(status), Some(of)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(status) = status.parse() else { continue };
            if of != path {
                continue;
            }
            served.logged += 1;
            served.cut_off += u64::from(left == "X");
            *served.by_status.entry(status).or_default() += 1;
        }
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_the_document_are_counted_and_no_others() {
        let log = "- 200 /body-1000.bin\n+ 200 /body-1000.bin\nX 200 /body-1000.bin\n\
            - 503 /body-1000.bin\n- 200 /alive.txt\n- 408 -\n- 200 /server-status\n- 2";
        let served = Served::of_log(log, "/body-1000.bin");
        assert_eq!((served.logged, served.cut_off), (4, 1));
        assert_eq!(served.by_status, BTreeMap::from([(200, 3), (503, 1)]));
    }
}
