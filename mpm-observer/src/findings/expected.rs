//! What a scenario is expected to lead to, held against what was found.

use super::Group;
use crate::scenario::{Mpm, Scenario};

/// The expectations of one scenario and MPM beside the findings of some of its runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// For each expected finding its rule and, if it was not named as expected, why not.
    pub expected: Vec<(String, Result<(), String>)>,
    /// Findings that nobody expected, as rule and sentence.
    pub others: Vec<(String, String)>,
}

impl Compared {
    /// Compares. Of findings that were expected, each has to be found in all runs of the group
    /// and to say what it is expected to say.
    #[must_use]
    pub fn new(scenario: &Scenario, mpm: Mpm, found: &Group) -> Self {
        let mut compared = Self::default();
        let expected = || {
            let all = scenario.findings.iter();
            all.filter(|expected| expected.mpms.contains(&mpm))
        };
        for expected in expected() {
            let found_it = found
                .findings
                .iter()
                .find(|finding| finding.rule == expected.rule);
            let named = match found_it {
                None => Err("not found".to_owned()),
                Some(finding) if finding.runs.len() as u32 != found.runs => Err(format!(
                    "found in {} of {} runs",
                    finding.runs.len(),
                    found.runs
                )),
                Some(finding) => {
                    let unsaid = expected
                        .says
                        .iter()
                        .find(|words| !finding.sentence.contains(*words));
                    match unsaid {
                        None => Ok(()),
                        Some(words) => Err(format!("does not say {words:?}: {}", finding.sentence)),
                    }
                }
            };
            compared.expected.push((expected.rule.clone(), named));
        }
        compared.others = found
            .findings
            .iter()
            .filter(|finding| !expected().any(|expected| expected.rule == finding.rule))
            .map(|finding| (finding.rule.clone(), finding.sentence.clone()))
            .collect();
        compared
    }

    /// Whether all that was expected was named.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.expected.iter().all(|(_, named)| named.is_ok())
    }

    /// Whether nothing but what was expected was found.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.others.is_empty()
    }
}
