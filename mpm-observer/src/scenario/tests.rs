use std::fs;

use super::*;

pub(super) const GOOD: &str = r#"name = "mine"
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

pub(super) fn errors(text: &str) -> Vec<String> {
    match Scenario::parse("mine.toml", text) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The good file with one line replaced, and with lines added at the end.
pub(super) fn with(old: &str, new: &str, end: &str) -> String {
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
            "a rate of nothing",
            with("requests = 100", "requests = 100\nrequests_per_s = 0", "")
                .replace("requests = 20", "requests = 20\nrequests_per_s = 5"),
            "mine.toml:7: size.full.requests_per_s: 0 is not within 1 to 1000000",
        ),
        (
            "a rate that is no number",
            with(
                "requests = 20",
                "requests = 20\nrequests_per_s = \"fast\"",
                "",
            ),
            "mine.toml:11: size.quick.requests_per_s: invalid type: string \"fast\", expected u32",
        ),
        (
            "a rate that is too slow for the time",
            with("requests = 100", "requests = 1000\nrequests_per_s = 2", "")
                .replace("requests = 20", "requests = 20\nrequests_per_s = 5"),
            "mine.toml:7: size.full.requests_per_s: 1000 requests at 2 each second take 500 s, and the load is cut off after 120 s",
        ),
        (
            "arrivals of no schedule",
            with("name", "name", "[load]\narrivals = \"poisson\"\n"),
            "mine.toml:16: load.arrivals: only in an open loop: it needs requests_per_s in the sizes",
        ),
        (
            "arrivals of no known kind",
            with("name", "name", "[load]\narrivals = \"even\"\n"),
            "mine.toml:16: load.arrivals: unknown variant `even`, expected `constant` or `poisson`",
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
