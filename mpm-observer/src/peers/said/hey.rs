//! hey's report.

use super::{Said, leading_number};

/// The codes of answers and the errors, each with its number before or behind it:
/// `  [200] 4999 responses` and `  [3] Get "http://...": ... connection reset by peer`, with a tab
/// behind the bracket.
pub(super) fn read(output: &str) -> Option<Said> {
    let mut said = Said::default();
    let mut errors = false;
    let mut has_report = false;
    for line in output.lines() {
        match line.trim_end() {
            "Summary:" => has_report = true,
            "Status code distribution:" => errors = false,
            "Error distribution:" => errors = true,
            line => {
                let Some((number, rest)) = line
                    .strip_prefix("  [")
                    .and_then(|line| line.split_once(']'))
                else {
                    continue;
                };
                if errors {
                    said.failed += number.parse::<u64>().ok()?;
                } else if rest.ends_with("responses") {
                    said.requests += leading_number(rest)?;
                }
            }
        }
    }
    has_report.then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_codes_and_errors_are_summed() {
        let text = "\nSummary:\n  Total:\t1.0113 secs\n\nResponse time histogram:\n  \
            0.000 [1]\t|\n\nStatus code distribution:\n  [200]\t40 responses\n  [500]\t2 responses\n\n\
            Error distribution:\n  [7]\tGet \"http://127.0.0.1:8098/\": EOF\n  [1]\tGet \"x\": reset\n";
        assert_eq!(
            read(text),
            Some(Said {
                requests: 42,
                failed: 8
            })
        );
        assert_eq!(read("Usage: hey [options...] <url>"), None);
    }
}
