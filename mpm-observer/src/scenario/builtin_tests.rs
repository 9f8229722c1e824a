//! The scenarios that are part of the program, their plans, and the documentation of the format.

use std::fs;

use super::{
    tests::{GOOD, errors, with},
    *,
};

#[test]
fn every_built_in_claim_can_be_judged() {
    let tutorials = builtin()
        .into_iter()
        .filter_map(|scenario| scenario.tutorial);
    for claim in tutorials.flat_map(|tutorial| tutorial.claims) {
        assert!(
            claim.subject.is_some() && claim.direction.is_some(),
            "{}",
            claim.says
        );
    }
}

#[test]
fn every_built_in_scenario_is_correct_and_named_as_its_file() {
    for set in Set::ALL {
        for (file, text) in set.files() {
            let scenario = Scenario::parse(file, text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                format!("scenarios/{}/{}.toml", set.name(), scenario.name),
                *file
            );
            assert_eq!(scenario.mpms().count(), 3, "{file}");
            for size in [Size::Quick, Size::Full] {
                assert!(
                    scenario.numbers(size).repetitions >= 6,
                    "{file}: fewer than 6 values have no interval"
                );
            }
        }
    }
}

#[test]
fn a_built_in_fair_counterpart_is_built_in_has_the_same_load_and_equal_slots() {
    let all = builtin();
    for scenario in &all {
        let Some(fair) = scenario.tutorial.as_ref().and_then(|t| t.fair.as_ref()) else {
            continue;
        };
        let counterpart = all.iter().find(|other| other.name == *fair);
        let counterpart = counterpart.unwrap_or_else(|| panic!("{} names {fair}", scenario.name));
        assert_eq!(counterpart.load, scenario.load, "{fair}");
        // How httpd comes up under a limit is a part of the question: then both begin alike.
        let start = match scenario.limits == Limits::default() {
            true => Start::Warm,
            false => scenario.server.start,
        };
        assert_eq!(counterpart.server.start, start, "{fair}");
        for size in [Size::Quick, Size::Full] {
            let (own, other) = (scenario.numbers(size), counterpart.numbers(size));
            assert_eq!(
                (own.requests, own.concurrency),
                (other.requests, other.concurrency),
                "{fair}"
            );
            let slots = Mpm::ALL.map(|mpm| counterpart.plan(mpm, size).server.max_request_workers);
            assert_eq!(slots, [slots[0]; 3], "{fair}");
        }
    }
}

#[test]
fn every_file_in_the_scenarios_directory_is_built_in() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    for set in Set::ALL {
        let mut files: Vec<String> = fs::read_dir(directory.join(set.name()))
            .unwrap()
            .map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                format!("scenarios/{}/{name}", set.name())
            })
            .collect();
        let mut known: Vec<&str> = set.files().iter().map(|(file, _)| *file).collect();
        files.sort();
        known.sort_unstable();
        assert_eq!(files, known);
    }
}

#[test]
fn the_built_in_scenarios_cover_the_tutorial_s_summary() {
    let scenarios = builtin();
    for row in SummaryRow::ALL {
        let covered = scenarios
            .iter()
            .filter_map(|s| s.tutorial.as_ref())
            .any(|tutorial| tutorial.claims.iter().any(|claim| claim.row == row));
        assert!(covered, "{row:?}");
    }
}

#[test]
fn slots_are_equal_for_all_mpms_except_where_the_tutorial_has_it_otherwise() {
    for scenario in builtin() {
        for size in [Size::Quick, Size::Full] {
            let slots = Mpm::ALL.map(|mpm| scenario.plan(mpm, size).server.max_request_workers);
            if scenario.name == "overload-tutorial" {
                assert_eq!(slots, [50, 100, 100]);
            } else {
                assert!(
                    slots.iter().all(|s| *s == slots[0]),
                    "{}: {slots:?}",
                    scenario.name
                );
            }
        }
    }
}

#[test]
fn a_warm_plan_starts_every_slot_and_keeps_it() {
    let text = GOOD.replace("cold", "warm");
    let scenario = Scenario::parse("mine.toml", &text).unwrap();
    let prefork = scenario.plan(Mpm::Prefork, Size::Full).server;
    assert_eq!((prefork.start_servers, prefork.server_limit), (150, 150));
    let event = scenario.plan(Mpm::Event, Size::Full).server;
    assert_eq!(
        (event.start_servers, event.server_limit, event.children()),
        (6, 6, 6)
    );
    for plan in [prefork, event] {
        assert!(plan.max_spare > plan.max_request_workers);
    }
}

#[test]
fn a_cold_plan_has_the_compiled_in_defaults_of_httpd() {
    let scenario = Scenario::parse("mine.toml", GOOD).unwrap();
    let prefork = scenario.plan(Mpm::Prefork, Size::Full).server;
    assert_eq!(
        (prefork.start_servers, prefork.min_spare, prefork.max_spare),
        (5, 5, 10)
    );
    let worker = scenario.plan(Mpm::Worker, Size::Full).server;
    assert_eq!(
        (worker.start_servers, worker.min_spare, worker.max_spare),
        (3, 75, 250)
    );
}

#[test]
fn the_mpm_s_section_goes_before_the_size_and_the_size_before_the_server() {
    let text = with(
        "concurrency = 2",
        "concurrency = 2\nmax_request_workers = 50",
        "max_request_workers = 100\n[server.event]\nmax_request_workers = 25\n",
    );
    let scenario = Scenario::parse("mine.toml", &text).unwrap();
    let slots = |mpm, size| scenario.plan(mpm, size).server.max_request_workers;
    assert_eq!(slots(Mpm::Event, Size::Quick), 25);
    assert_eq!(slots(Mpm::Worker, Size::Quick), 50);
    assert_eq!(slots(Mpm::Worker, Size::Full), 100);
}

#[test]
fn a_plan_survives_the_manifest() {
    for scenario in builtin() {
        let plan = scenario.plan(Mpm::Worker, Size::Quick);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<RunPlan>(&text).unwrap(), plan);
    }
}

#[test]
fn the_documented_scenario_is_accepted_and_shows_the_defaults() {
    let document = include_str!("../../../docs/scenarios.md");
    let blocks: Vec<&str> = document
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 2);
    let documented = Scenario::parse("docs/scenarios.md", &blocks.concat()).unwrap();
    let least = Scenario::parse(
        "least.toml",
        "name = \"least\"\ntitle = \"Least\"\nwhat = \"The least.\"\n\
         [size]\nfull = { requests = 10000, concurrency = 1000 }\n\
         quick = { requests = 5000, concurrency = 500 }\n",
    )
    .unwrap();
    let load = Load {
        held: None,
        ..documented.load
    };
    assert_eq!(load, least.load);
    assert_eq!(documented.size.full, least.size.full);
    let server = Server {
        extra_directives: Vec::new(),
        environment: Default::default(),
        prefork: None,
        worker: None,
        ..documented.server
    };
    assert_eq!(server, least.server);
}

#[test]
fn every_key_is_documented() {
    let document = include_str!("../../../docs/scenarios.md");
    for table in [
        "",
        "[tutorial]",
        "[tutorial.expects]",
        "[[tutorial.claims]]",
        "[expects]",
        "[[findings]]",
        "[load]",
        "[load.held]",
        "[size]",
        "[size.full]",
        "[server]",
        "[server.prefork]",
        "[server.worker]",
        "[limits]",
    ] {
        let error = errors(&format!("{table}\nno_such_key = 1\n")).concat();
        let (_, keys) = error.split_once("expected").expect(&error);
        // Each stands between backticks.
        let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{error}");
        for key in keys {
            let documented = [format!("{key} = "), format!("`{key}`"), format!("[{key}]")]
                .iter()
                .any(|form| document.contains(form))
                || document.contains(&format!(".{key}]"))
                || document.contains(&format!("[{key}."));
            assert!(documented, "{table} {key}");
        }
    }
}
