//! oha's report in JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Said;

/// What is under way when the time is up, it counts as an error of this name.
const CUT_OFF: &str = "aborted due to deadline";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    status_code_distribution: BTreeMap<String, u64>,
    error_distribution: BTreeMap<String, u64>,
}

/// Answers of any status, and errors other than [`CUT_OFF`].
pub(super) fn read(output: &str) -> Option<Said> {
    let report: Report = serde_json::from_str(output.trim()).ok()?;
    let errors = report.error_distribution.iter();
    Some(Said {
        requests: report.status_code_distribution.values().sum(),
        failed: errors
            .filter(|(name, _)| *name != CUT_OFF)
            .map(|(_, count)| count)
            .sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_errors_are_summed_without_those_cut_off() {
        let text = r#"{
            "summary": {"successRate": 1.0, "total": 1.0, "requestsPerSec": 64.0},
            "statusCodeDistribution": {"200": 40, "500": 2},
            "errorDistribution": {"aborted due to deadline": 64, "connection closed": 5}
        }"#;
        assert_eq!(
            read(text),
            Some(Said {
                requests: 42,
                failed: 5
            })
        );
        assert_eq!(read("error: the argument"), None);
    }
}
