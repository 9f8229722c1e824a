//! What can be said of the dashboards from their files.

use std::{collections::HashSet, fs, path::PathBuf};

use mpm_observer::dashboards::{Filled, Source, sources};
use serde_json::Value;

use super::{
    alerts::rules,
    selectors::selectors,
    tools::{check_by_grafana, dashboards, root, text},
};

fn committed() -> Vec<(Source, PathBuf, Value)> {
    let sources = sources().unwrap().into_iter();
    sources
        .map(|source| {
            let path = dashboards().join(format!("{}.json", source.name));
            let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (source, path, json)
        })
        .collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn the_json_is_made_from_the_sources_as_they_are() {
    for (source, path, json) in committed() {
        assert!(
            source.grafana() == json,
            "{} is not up to date: mpm-observer __dashboards write dashboards",
            path.display()
        );
    }
}

#[test]
fn every_panel_has_a_number_and_a_place_of_its_own() {
    for (_, path, json) in committed() {
        let (mut ids, mut taken) = (HashSet::new(), HashSet::new());
        for panel in json["panels"].as_array().unwrap() {
            assert!(ids.insert(number(&panel["id"])), "{}", path.display());
            let place = &panel["gridPos"];
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| number(&place[key]));
            assert!(w > 0 && h > 0 && x + w <= 24, "{place}");
            for column in x..x + w {
                for line in y..y + h {
                    assert!(taken.insert((column, line)), "{}: {panel}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_panel_says_how_to_read_it_and_asks_the_chosen_data_source() {
    for (source, path, json) in committed() {
        let panels = json["panels"].as_array().unwrap();
        let panels: Vec<&Value> = panels.iter().filter(|p| p["type"] != "row").collect();
        assert_eq!(panels.len(), source.panels().count());
        for panel in panels {
            let what = format!("{}: {}", path.display(), panel["title"]);
            assert!(
                ["timeseries", "stat"].contains(&panel["type"].as_str().unwrap()),
                "{what}"
            );
            // A sentence, not a repetition of the title.
            let description = panel["description"].as_str().unwrap();
            assert!(
                description.len() > 60 && description.ends_with('.'),
                "{what}"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{what}"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{what}");
            let mut letters = HashSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{what}");
                assert!(letters.insert(target["refId"].as_str().unwrap()), "{what}");
                let expr = target["expr"].as_str().unwrap();
                assert!(expr.contains(r#"instance=~"$instance""#), "{what}");
                assert!(
                    !target["legendFormat"].as_str().unwrap().is_empty(),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn no_two_panels_of_a_dashboard_have_the_same_title_in_the_same_row() {
    for source in sources().unwrap() {
        for row in &source.rows {
            let titles: HashSet<&str> = row.panels.iter().map(|p| p.title.as_str()).collect();
            assert_eq!(titles.len(), row.panels.len(), "{}", row.title);
        }
    }
}

#[test]
fn the_dashboards_choose_source_job_and_instance() {
    for (_, _, json) in committed() {
        let variables = json["templating"]["list"].as_array().unwrap();
        let names: Vec<&str> = variables
            .iter()
            .map(|v| v["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["datasource", "job", "instance"]);
        assert_eq!(variables[0]["type"], "datasource");
    }
}

#[test]
fn grafanas_own_types_take_every_key_and_value() {
    let files: Vec<PathBuf> = committed().into_iter().map(|(_, path, _)| path).collect();
    let Some(output) = check_by_grafana(&files) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn the_check_by_grafanas_types_finds_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, json) = committed().remove(0);
    let panels = json["panels"].as_array().unwrap();
    let of_kind = |kind: &str| {
        panels
            .iter()
            .position(|panel| panel["type"] == kind)
            .unwrap()
    };
    let (lines, value) = (of_kind("timeseries"), of_kind("stat"));
    type Spoil<'a> = &'a dyn Fn(&mut Value);
    let wrong: [(&str, Spoil<'_>); 5] = [
        ("no such key", &|json| {
            json["panels"][lines]["fieldConfig"]["defaults"]["custom"]["lineWidht"] = 1.into()
        }),
        ("is none of", &|json| {
            json["panels"][lines]["options"]["legend"]["placement"] = "botom".into()
        }),
        ("is no float", &|json| {
            json["panels"][lines]["fieldConfig"]["defaults"]["min"] = "0".into()
        }),
        ("unknown kind", &|json| {
            json["panels"][value]["type"] = "statt".into()
        }),
        ("no such key", &|json| {
            json["panels"][value]["targets"][0]["exprr"] = "up".into()
        }),
    ];
    for (says, spoil) in wrong {
        let mut spoilt = json.clone();
        spoil(&mut spoilt);
        let path = dir.path().join("spoilt.json");
        fs::write(&path, spoilt.to_string()).unwrap();
        let Some(output) = check_by_grafana(&[path]) else {
            return;
        };
        let text = text(&output);
        assert!(
            !output.status.success() && text.contains(says),
            "{says}: {text}"
        );
    }
}

/// The names of the metrics that are documented.
fn documented() -> HashSet<String> {
    let text = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_documented() {
    let documented = documented();
    let filled = Filled {
        job: ".+".into(),
        instance: ".+".into(),
        rate_interval: "4s".into(),
        range: "5m".into(),
    };
    let mut expressions: Vec<String> = rules().into_iter().map(|rule| rule.expr).collect();
    for source in sources().unwrap() {
        let queries = source.queries(&filled).into_iter();
        expressions.extend(queries.map(|(_, query)| query));
    }
    for expression in expressions {
        for selector in selectors(&expression) {
            let name = selector.split('{').next().unwrap();
            // Of a histogram three series are made; `up` is Prometheus' own.
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name);
            assert!(
                name == "up" || documented.contains(base),
                "{name} in {expression}"
            );
        }
    }
}
