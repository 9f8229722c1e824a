use std::fs;

use super::*;

const GOOD: &str = r#"name = "mine"
title = "Mine"
what = "A test."

[size.full]
requests = 100
concurrency = 10

[size.quick]
requests = 20
concurrency = 2

[server]
start = "cold"
"#;

fn errors(text: &str) -> Vec<String> {
    match Scenario::parse("mine.toml", text) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The good file with one line replaced, and with lines added at the end.
fn with(old: &str, new: &str, end: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    format!("{}{end}", GOOD.replacen(old, new, 1))
}

#[test]
fn a_minimal_file_is_enough() {
    assert_eq!(errors(GOOD), Vec::<String>::new());
}

#[test]
fn each_error_names_file_line_and_key() {
    let table: &[(&str, String, &str)] = &[
        (
            "more connections than requests",
            with("concurrency = 10", "concurrency = 101", ""),
            "mine.toml:7: size.full.concurrency: 101 connections at once are more than the 100 requests in all",
        ),
        (
            "no requests",
            with("requests = 20", "requests = 0", ""),
            "mine.toml:10: size.quick.requests: must be more than 0",
        ),
        (
            "an unknown MPM",
            with("start = \"cold\"", "mpms = [\"event\", \"itk\"]", ""),
            "mine.toml:14: server.mpms[1]: unknown variant `itk`, expected one of `prefork`, `worker`, `event`",
        ),
        (
            "an MPM twice",
            with("start = \"cold\"", "mpms = [\"event\", \"event\"]", ""),
            "mine.toml:14: server.mpms[1]: names event twice",
        ),
        (
            "a limit that is no number",
            with("name", "name", "[limits]\nopen_files = \"many\"\n"),
            "mine.toml:16: limits.open_files: invalid type: string \"many\", expected u64",
        ),
        (
            "a limit of nothing",
            with("name", "name", "[limits]\ndata_kb = 0\n"),
            "mine.toml:16: limits.data_kb: must be more than 0; leave the key out for no limit",
        ),
        (
            "an unknown limit",
            with("name", "name", "[limits]\nmemory_kb = 1\n"),
            "mine.toml:16: limits.memory_kb: unknown field `memory_kb`, expected one of `address_space_kb`, `data_kb`, `stack_kb`, `open_files`, `processes`, `cgroup_tasks`, `cgroup_memory_kb`",
        ),
        (
            "a control group without tasks",
            with("name", "name", "[limits]\ncgroup_tasks = 0\n"),
            "mine.toml:16: limits.cgroup_tasks: must be more than 0; leave the key out for no limit",
        ),
        (
            "more tasks than there can be",
            with("name", "name", "[limits]\ncgroup_tasks = 4194305\n"),
            "mine.toml:16: limits.cgroup_tasks: 4194305 is more than the kernel can count (4194304)",
        ),
        (
            "more memory than the kernel can count",
            with(
                "name",
                "name",
                "[limits]\ncgroup_memory_kb = 9007199254740993\n",
            ),
            "mine.toml:16: limits.cgroup_memory_kb: 9007199254740993 is more than the kernel can count (9007199254740991)",
        ),
        (
            "a limit that would be none",
            with(
                "name",
                "name",
                "[limits]\naddress_space_kb = 9007199254740992\n",
            ),
            "mine.toml:16: limits.address_space_kb: 9007199254740992 is more than the kernel can count (9007199254740991)",
        ),
        (
            "a bad name of a variable",
            with("name", "name", "[server.environment]\n\"A=B\" = \"1\"\n"),
            "mine.toml:16: server.environment.A=B: `A=B` must be letters, digits and `_`, beginning with no digit",
        ),
        (
            "a variable of the lab",
            with("name", "name", "[server.environment]\nLC_ALL = \"de\"\n"),
            "mine.toml:16: server.environment.LC_ALL: LC_ALL is set by the lab itself",
        ),
        (
            "a variable of several lines",
            with("name", "name", "[server.environment]\nA = \"b\\nc\"\n"),
            "mine.toml:16: server.environment.A: must be one line of text",
        ),
        (
            "a variable that is no text",
            with("name", "name", "[server.environment]\nA = 1\n"),
            "mine.toml:16: server.environment.A: invalid type: integer `1`, expected a string",
        ),
        (
            "nobody to start it",
            with("start = \"cold\"", "start_as = \"guest\"", ""),
            "mine.toml:14: server.start_as: unknown variant `guest`, expected `root` or `user`",
        ),
        (
            "no slow clients",
            with(
                "name",
                "name",
                "[load.held]\nkind = \"idle-keep-alive\"\nconnections = 0\n",
            ),
            "mine.toml:17: load.held.connections: 0 is not within 1 to 20000",
        ),
        (
            "an unknown kind of slow clients",
            with(
                "name",
                "name",
                "[load.held]\nkind = \"slow\"\nconnections = 1\n",
            ),
            "mine.toml:16: load.held.kind: unknown variant `slow`, expected one of `half-header`, `idle-keep-alive`, `slow-reader`",
        ),
        (
            "half a head that httpd does not wait for",
            with(
                "start = \"cold\"",
                "timeout_s = 1",
                "[load.held]\nkind = \"half-header\"\nconnections = 1\n",
            ),
            "mine.toml:14: server.timeout_s: must be at least 2 with half a head, of which a byte comes every second",
        ),
        (
            "a slow reader that is through too early",
            with(
                "name",
                "name",
                "[load.held]\nkind = \"slow-reader\"\nconnections = 1\nbody_bytes = 1000\nbytes_per_s = 10\n",
            ),
            "mine.toml:18: load.held.body_bytes: 1000 bytes are read before the load ends: 10 a second for up to 180 s are 1800",
        ),
        (
            "half a head that reads a file",
            with(
                "name",
                "name",
                "[load.held]\nkind = \"half-header\"\nconnections = 1\nbody_bytes = 1000\n",
            ),
            "mine.toml:18: load.held.body_bytes: only for a slow reader, which alone reads a file of its own",
        ),
        (
            "a slow reader that does not read",
            with(
                "name",
                "name",
                "[load.held]\nkind = \"slow-reader\"\nconnections = 1\nbytes_per_s = 0\n",
            ),
            "mine.toml:18: load.held.bytes_per_s: must be more than 0",
        ),
        (
            "an expectation of an MPM that is not run",
            with(
                "start = \"cold\"",
                "mpms = [\"event\"]",
                "[expects]\noverall = \"x\"\nworker = \"y\"\n",
            ),
            "mine.toml:17: expects.worker: worker is not in server.mpms",
        ),
        (
            "more started than there may be",
            with("name", "name", "[server.prefork]\nstart_servers = 151\n"),
            "mine.toml:16: server.prefork.start_servers: 151 is more than the 150 processes that the slots allow",
        ),
        (
            "a limit of processes below the need",
            with("name", "name", "[server.event]\nserver_limit = 5\n"),
            "mine.toml:16: server.event.server_limit: 5 is less than the 6 processes that the slots need",
        ),
        (
            "slots that do not divide by the threads",
            with(
                "concurrency = 2",
                "concurrency = 2\nmax_request_workers = 40",
                "",
            ),
            "mine.toml:12: size.quick.max_request_workers: 40 is not a multiple of the 25 threads of each worker process",
        ),
        (
            "threads for prefork",
            with("name", "name", "[server.prefork]\nthreads_per_child = 5\n"),
            "mine.toml:16: server.prefork.threads_per_child: unknown field `threads_per_child`, expected one of `max_request_workers`, `server_limit`, `start_servers`, `min_spare_servers`, `max_spare_servers`",
        ),
        (
            "spare limits the wrong way round",
            with(
                "name",
                "name",
                "[server.prefork]\nmin_spare_servers = 20\nmax_spare_servers = 20\n",
            ),
            "mine.toml:17: server.prefork.max_spare_servers: at most 20 spare is less than the minimum 20 and 1 more",
        ),
        (
            "a way of starting for a warm start",
            with("cold", "warm", "[server.worker]\nstart_servers = 2\n"),
            "mine.toml:16: server.worker.start_servers: only for server.start = \"cold\"; a warm start has all slots from the first",
        ),
        (
            "a section for an MPM that is not run",
            with(
                "start = \"cold\"",
                "mpms = [\"event\"]",
                "[server.worker]\n",
            ),
            "mine.toml:15: server.worker: worker is not in server.mpms",
        ),
        (
            "a directive of the lab",
            with(
                "start = \"cold\"",
                "extra_directives = [\n\"FileETag None\",\n\"listen 80\"]",
                "",
            ),
            "mine.toml:16: server.extra_directives[1]: listen is set by the lab itself",
        ),
        (
            "a missing key",
            with("requests = 100\n", "", ""),
            "mine.toml:5: size.full: missing field `requests`",
        ),
        (
            "a missing table",
            with("[size.quick]\nrequests = 20\nconcurrency = 2\n", "", ""),
            "mine.toml:5: size: missing field `quick`",
        ),
        (
            "a missing name",
            with("name = \"mine\"\n", "", ""),
            "mine.toml:1: missing field `name`",
        ),
        (
            "a bad name",
            with("\"mine\"", "\"../mine\"", ""),
            "mine.toml:1: name: `../mine` must be small letters, digits and `-`, beginning with no `-`",
        ),
        (
            "a negative number",
            with("requests = 100", "requests = -1", ""),
            "mine.toml:6: size.full.requests: invalid value: integer `-1`, expected u64",
        ),
        (
            "bad syntax",
            with("title = \"Mine\"", "title = \"Mine", ""),
            "mine.toml:2: title: invalid basic string, expected `\"`",
        ),
        (
            "an unknown row of the summary",
            with(
                "name",
                "name",
                "[tutorial]\nsection = 1\ncommand = \"ab\"\nexpects = { overall = \"x\" }\n[[tutorial.claims]]\nrow = \"speed\"\nsays = \"x\"\n",
            ),
            "mine.toml:20: tutorial.claims[0].row: unknown variant `speed`, expected one of `high-load`, `keep-alive`, `large-file`, `memory-limit`, `resource-use`, `overload`",
        ),
    ];
    let wrong: Vec<String> = table
        .iter()
        .map(|(what, text, expected)| (what, errors(text), expected))
        .filter(|(_, found, expected)| found != &[**expected])
        .map(|(what, found, expected)| format!("{what}:\n  {found:?}\n  {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_judged_claim_says_who_differs_how_and_in_what() {
    let claim = |lines: &str| {
        let tutorial = "[tutorial]\nsection = 1\ncommand = \"ab\"\nexpects = { overall = \"x\" }\n";
        let claims = "[[tutorial.claims]]\nrow = \"overload\"\nsays = \"x\"\n";
        errors(&with("name", "name", &format!("{tutorial}{claims}{lines}")))
    };
    let good =
        "metric = \"requests_per_s\"\nsubject = \"event\"\ndirection = \"more\"\nby_percent = 50\n";
    assert_eq!(claim(good), Vec::<String>::new());
    assert_eq!(
        claim("subject = \"prefork\"\ndirection = \"fails\"\n"),
        Vec::<String>::new()
    );
    for (lines, expected) in [
        (
            "subject = \"event\"\n",
            "mine.toml:22: tutorial.claims[0].subject: needs a `direction`: more, less or fails",
        ),
        (
            "metric = \"x\"\ndirection = \"more\"\n",
            "mine.toml:23: tutorial.claims[0].direction: needs a `subject`: the MPM that is said to differ",
        ),
        (
            "subject = \"event\"\ndirection = \"less\"\n",
            "mine.toml:23: tutorial.claims[0].direction: needs a `metric`: what there is more or less of",
        ),
        (
            "by_percent = 5\n",
            "mine.toml:22: tutorial.claims[0].by_percent: needs a `direction`: more, less or fails",
        ),
        (
            "margin_percent = 5\n",
            "mine.toml:22: tutorial.claims[0].margin_percent: needs a `direction`: more, less or fails",
        ),
        (
            "subject = \"event\"\ndirection = \"fails\"\nby_percent = 101\n",
            "mine.toml:24: tutorial.claims[0].by_percent: 101 is not within 1 to 100",
        ),
        (
            "subject = \"event\"\ndirection = \"fails\"\nby_percent = 9\nmargin_percent = 10\n",
            "mine.toml:24: tutorial.claims[0].by_percent: 9 is within the margin of 10 in which a difference counts as none",
        ),
        (
            "subject = \"event\"\ndirection = \"fails\"\nmargin_percent = 51\nby_percent = 60\n",
            "mine.toml:24: tutorial.claims[0].margin_percent: 51 is not within 1 to 50",
        ),
        (
            "subject = \"event\"\ndirection = \"fails\"\nagainst = [\"event\"]\n",
            "mine.toml:24: tutorial.claims[0].against[0]: event is not another of server.mpms",
        ),
        (
            "subject = \"event\"\ndirection = \"fails\"\nagainst = [\"worker\", \"worker\"]\n",
            "mine.toml:24: tutorial.claims[0].against[1]: names worker twice",
        ),
        (
            "fair_metric = \"memory_bytes\"\n",
            "mine.toml:22: tutorial.claims[0].fair_metric: needs a `metric`: what the tutorial measures",
        ),
    ] {
        assert_eq!(claim(lines), [expected]);
    }
}

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
fn all_contradictions_of_a_file_are_reported_at_once_in_order() {
    let text = with(
        "requests = 100",
        "requests = 0",
        "listen_backlog = 0\n[limits]\nstack_kb = 0\n",
    )
    .replacen("concurrency = 2", "concurrency = 30", 1);
    assert_eq!(
        errors(&text),
        [
            "mine.toml:6: size.full.requests: must be more than 0",
            "mine.toml:11: size.quick.concurrency: 30 connections at once are more than the 20 requests in all",
            "mine.toml:15: server.listen_backlog: 0 is not within 1 to 65535",
            "mine.toml:17: limits.stack_kb: must be more than 0; leave the key out for no limit",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Scenario::load(Path::new("/nonexistent/x.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the scenario /nonexistent/x.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn a_directory_is_read_in_order_and_may_not_have_a_name_twice() {
    let directory = tempfile::tempdir().unwrap();
    let error = Scenario::load_all(directory.path()).unwrap_err();
    assert!(matches!(error, ScenarioError::Empty { .. }), "{error}");

    fs::write(directory.path().join("b.toml"), GOOD).unwrap();
    fs::write(
        directory.path().join("a.toml"),
        GOOD.replace("\"mine\"", "\"other\""),
    )
    .unwrap();
    fs::write(directory.path().join("notes.txt"), "no scenario").unwrap();
    let scenarios = Scenario::load_all(directory.path()).unwrap();
    let names: Vec<&str> = scenarios.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["other", "mine"]);

    fs::write(directory.path().join("c.toml"), GOOD).unwrap();
    let error = Scenario::load_all(directory.path()).unwrap_err();
    assert!(matches!(error, ScenarioError::Duplicate { .. }), "{error}");
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
        assert_eq!(counterpart.server.start, Start::Warm, "{fair}");
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
fn a_scenario_is_not_its_own_fair_counterpart() {
    let tutorial = "[tutorial]\nsection = 1\ncommand = \"ab\"\nfair = \"mine\"\n\
                    [tutorial.expects]\noverall = \"x\"\n";
    assert_eq!(
        errors(&with("name", "name", tutorial)),
        [
            "mine.toml:18: tutorial.fair: names this scenario itself; leave it out where the set-up is fair"
        ]
    );
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
