//! Counts tests from the output of Rust's test harness.

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed and did what they are for.
    pub passed: u64,
    /// Tests that failed, and those that a crashed test program never ended.
    pub failed: u64,
    /// Ignored tests, and tests that said `SKIPPED:`.
    pub skipped: u64,
}

/// How a test says that this machine lacks what it needs, in a line on standard output or, past
/// the harness, on standard error. The harness counts it as passed.
const SKIP_MARK: &str = "SKIPPED:";
/// The reason of an ignored function that is no test: it is started by tests.
const HELPER_REASON: &str = " ... ignored, other tests run this";

/// Reads the output of test programs run with `--show-output`, line by line.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Counts,
    /// The test program that is running.
    running: Option<Running>,
    /// Tests that said on standard error that they were skipped.
    skipped_on_stderr: u64,
}

#[derive(Debug, Default)]
struct Running {
    announced: u64,
    /// Tests that ended well so far, for when no result line comes.
    ended_well: u64,
    /// Tests that said on standard output that they were skipped.
    said_skipped: u64,
    /// Ignored functions that are no tests.
    helpers: u64,
    /// Inside the list of what the successful tests printed.
    in_successes: bool,
    /// The test whose output is being read has said `SKIPPED:` already.
    skip_counted: bool,
}

impl Tally {
    /// Takes the next line of standard output; tells whether a user wants to see it. Left out is what successful
    /// tests printed, apart from `SKIPPED:`.
    pub fn take(&mut self, line: &str) -> bool {
        if let Some(announced) = announced_tests(line) {
            self.close_unfinished();
            self.running = Some(Running {
                announced,
                ..Running::default()
            });
            return true;
        }
        let Some(running) = &mut self.running else {
            return true;
        };
        if let Some((passed, failed, ignored)) = result(line) {
            let skipped = running.said_skipped.min(passed);
            self.counts.passed += passed - skipped;
            self.counts.failed += failed;
            self.counts.skipped += ignored.saturating_sub(running.helpers) + skipped;
            self.running = None;
            return true;
        }
        match line {
            "successes:" => running.in_successes = true,
            "failures:" => running.in_successes = false,
            _ if running.in_successes => {
                if line.starts_with("---- ") && line.ends_with(" stdout ----") {
                    running.skip_counted = false;
                } else if line.starts_with(SKIP_MARK) {
                    running.said_skipped += u64::from(!running.skip_counted);
                    running.skip_counted = true;
                    return true;
                }
            }
            _ if line.starts_with("test ") && line.ends_with(" ... ok") => running.ended_well += 1,
            _ if line.starts_with("test ") && line.contains(HELPER_REASON) => running.helpers += 1,
            _ => {}
        }
        !running.in_successes
    }

    /// Takes a line of standard error.
    pub fn take_stderr(&mut self, line: &str) {
        self.skipped_on_stderr += u64::from(line.starts_with(SKIP_MARK));
    }

    /// The sum over all test programs.
    pub fn finish(mut self) -> Counts {
        self.close_unfinished();
        let skipped = self.skipped_on_stderr.min(self.counts.passed);
        self.counts.passed -= skipped;
        self.counts.skipped += skipped;
        self.counts
    }

    /// A test program that announced tests and gave no result has crashed.
    fn close_unfinished(&mut self) {
        if let Some(running) = self.running.take() {
            let passed = running.ended_well.min(running.announced);
            self.counts.passed += passed;
            self.counts.failed += running.announced - passed;
        }
    }
}

/// `running 12 tests`
fn announced_tests(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("running ")?;
    let number = rest
        .strip_suffix(" tests")
        .or_else(|| rest.strip_suffix(" test"))?;
    number.parse().ok()
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; ...` as passed, failed and ignored.
fn result(line: &str) -> Option<(u64, u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, numbers) = rest.split_once(". ")?;
    let mut fields = numbers.split("; ");
    let mut field = |suffix: &str| fields.next()?.strip_suffix(suffix)?.parse().ok();
    Some((field(" passed")?, field(" failed")?, field(" ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(output: &str) -> Counts {
        let mut tally = Tally::default();
        for line in output.lines() {
            tally.take(line);
        }
        tally.finish()
    }

    #[test]
    fn results_are_summed_over_test_programs() {
        let counts = count(
            "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\
             running 1 test\ntest c ... FAILED\n\n\
             test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(
            counts,
            Counts {
                passed: 2,
                failed: 1,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_test_that_says_skipped_has_not_passed_and_counts_once() {
        let counts = count(
            "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... ok\n\nsuccesses:\n\n\
             ---- a stdout ----\nSKIPPED: needs root\nSKIPPED: and httpd\n\n\
             ---- b stdout ----\nSKIPPED: needs root\n\n\
             successes:\n    a\n    b\n    c\n\n\
             test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(
            counts,
            Counts {
                passed: 1,
                failed: 0,
                skipped: 2
            }
        );
    }

    #[test]
    fn a_skip_on_standard_error_counts_as_well() {
        let mut tally = Tally::default();
        tally.take("running 2 tests");
        tally.take_stderr("SKIPPED: root is missing");
        tally.take_stderr("error: 1 target failed");
        tally.take("test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        let expected = Counts {
            passed: 1,
            failed: 0,
            skipped: 1,
        };
        assert_eq!(tally.finish(), expected);
    }

    #[test]
    fn an_ignored_helper_is_no_skipped_test() {
        let counts = count(
            "running 3 tests\ntest a ... ok\ntest b ... ignored, too slow\n\
             test c ... ignored, other tests run this as a process of its own\n\n\
             test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        let expected = Counts {
            passed: 1,
            failed: 0,
            skipped: 1,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_crashed_test_program_fails_the_tests_that_did_not_end() {
        let crashed = "running 3 tests\ntest a ... ok\n";
        let next = "running 1 test\ntest d ... ok\n\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let expected = Counts {
            passed: 2,
            failed: 2,
            skipped: 0,
        };
        assert_eq!(count(&format!("{crashed}{next}")), expected);
        assert_eq!(count(&format!("{next}{crashed}")), expected);
    }

    #[test]
    fn of_what_successful_tests_print_only_skips_are_shown() {
        let mut tally = Tally::default();
        let shown = "running 2 tests\ntest a ... ok\nsuccesses:\n---- a stdout ----\nchatter\n\
                     SKIPPED: needs root\nsuccesses:\n    a\nfailures:\n---- b stdout ----\nwhy\n\
                     test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured"
            .lines()
            .filter(|line| tally.take(line))
            .collect::<Vec<_>>();
        assert!(shown.contains(&"SKIPPED: needs root"));
        assert!(shown.contains(&"why"));
        assert!(!shown.contains(&"chatter"));
        assert!(!shown.contains(&"    a"));
    }
}
