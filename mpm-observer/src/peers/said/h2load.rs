//! h2load's report.

use super::Said;

/// `requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, ...`
pub(super) fn read(output: &str) -> Option<Said> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))?;
    let number = |name: &str| {
        line.split(", ")
            .find_map(|part| part.strip_suffix(name)?.trim().parse::<u64>().ok())
    };
    Some(Said {
        requests: number("done")?,
        failed: number("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_and_failed_are_read() {
        let text = "finished in 1.00s, 9.00 req/s\n\
            requests: 50 total, 9 started, 4 done, 3 succeeded, 47 failed, 46 errored, 0 timeout\n";
        assert_eq!(
            read(text),
            Some(Said {
                requests: 4,
                failed: 47
            })
        );
        assert_eq!(read("finished in 1.00s"), None);
    }
}
