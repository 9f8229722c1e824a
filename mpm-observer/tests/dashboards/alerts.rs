//! The alert rules by promtool, Prometheus' own tool.

use std::{fs, process::Command};

use serde::Deserialize;

use super::tools::{dashboards, promtool, text};

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
pub struct Rule {
    pub alert: String,
    pub expr: String,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Deserialize)]
struct Labels {
    severity: String,
}

#[derive(Deserialize)]
struct Annotations {
    summary: String,
    description: String,
}

pub fn rules() -> Vec<Rule> {
    let text = fs::read_to_string(dashboards().join("alerts.yml")).unwrap();
    let rules: Rules = serde_saphyr::from_str(&text).unwrap();
    rules
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

fn promtool_says(arguments: &[&str]) -> Option<String> {
    let output = Command::new(promtool()?)
        .args(arguments)
        .current_dir(dashboards())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    Some(text(&output))
}

#[test]
fn promtool_takes_the_rules() {
    let Some(says) = promtool_says(&["check", "rules", "alerts.yml"]) else {
        return;
    };
    assert!(
        says.contains(&format!("{} rules found", rules().len())),
        "{says}"
    );
}

#[test]
fn each_alert_fires_when_it_should_and_not_when_it_should_not() {
    promtool_says(&["test", "rules", "alerts-test.yml"]);
}

#[test]
fn each_alert_has_a_test_says_what_is_wrong_and_what_to_do() {
    let tests = fs::read_to_string(dashboards().join("alerts-test.yml")).unwrap();
    for rule in rules() {
        // Either way of promtool's to name an alert.
        let named = [
            format!("alertname: {}\n", rule.alert),
            format!("alertname=\"{}\"", rule.alert),
        ];
        assert!(
            named.iter().any(|name| tests.contains(name)),
            "{} has no test",
            rule.alert
        );
        assert!(
            ["critical", "warning"].contains(&&*rule.labels.severity),
            "{}",
            rule.alert
        );
        let Annotations {
            summary,
            description,
        } = rule.annotations;
        assert!(summary.contains("{{ $labels.instance }}"), "{}", rule.alert);
        assert!(
            description.len() > 100 && !summary.contains('\n'),
            "{}",
            rule.alert
        );
    }
}
