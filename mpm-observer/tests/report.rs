//! The report of a made-up experiment: from recording files alone to pages, pictures and figures.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use mpm_observer::{
    recording::Status,
    report::{Report, make_report, metrics::METRICS},
    scenario::Mpm,
};
use serde_json::Value;

mod made_up;

use made_up::{
    rows::{self, Figures},
    write_experiment, write_run,
};

const HOSTILE: &str = "<script>alert(1)</script> | \"a\" & 'b'";

fn memory_mb(mpm: Mpm) -> u64 {
    match mpm {
        Mpm::Prefork => 26,
        Mpm::Worker => 9,
        Mpm::Event => 8,
    }
}

/// Eight repetitions of each MPM, event's third without a start, a damaged part in worker's
/// second, and a ninth of prefork that was interrupted, one of event without a manifest.
fn made_up_experiment(dir: &Path) {
    let mut names = Vec::new();
    for repetition in 1..=8 {
        for mpm in Mpm::ALL {
            let figures = Figures {
                failed: 0,
                cgroup_bytes: Some(memory_mb(mpm) * 1_000_000 + u64::from(repetition) * 1000),
                ..Figures::default()
            };
            let made_up = if (mpm, repetition) == (Mpm::Event, 3) {
                rows::rows_not_started(mpm, repetition)
            } else {
                rows::rows(mpm, repetition, &figures)
            };
            let run = write_run(dir, &mut names, &made_up);
            if (mpm, repetition) == (Mpm::Worker, 2) {
                let damaged = run.path().join("samples/part-00009.parquet");
                fs::write(damaged, b"not parquet").unwrap();
            }
        }
    }
    let mut cut_short = rows::rows(Mpm::Prefork, 9, &Figures::default());
    cut_short.manifest.status = Status::Interrupted;
    cut_short.manifest.load = None;
    write_run(dir, &mut names, &cut_short);
    names.push("high-load.event.9".into());
    fs::create_dir_all(dir.join("runs/high-load.event.9")).unwrap();
    fs::write(dir.join("runs/high-load.event.9/manifest.json"), b"{ half").unwrap();
    write_experiment(dir, names, HOSTILE, HOSTILE);
}

/// Makes the report of the made-up experiment once and hands its directory to the test.
fn with_report(look: impl FnOnce(&Path, &Report)) {
    let dir = tempfile::tempdir().unwrap();
    made_up_experiment(dir.path());
    let report = make_report(dir.path()).unwrap();
    assert_eq!(report.html, dir.path().join("report/report.html"));
    look(&dir.path().join("report"), &report);
}

fn pictures(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "png"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_report_of_a_recording_is_whole_and_true() {
    with_report(|dir, report| {
        assert_eq!(
            report.summary,
            "24 runs, 1 scenario: 99.00 % of the successful requests joined, 0 events lost; \
             failed requests: 100 with event (high-load); no MPM clearly fastest; of 2 claims 1 \
             confirmed, 1 no difference (1 otherwise in the tutorial's own set-up)"
        );
        table_fits_a_terminal(&report.table);
        files_are_there_and_nothing_else(dir);
        figures_are_the_made_up_ones(dir);
        page_needs_nothing_else_and_escapes(dir);
        markdown_shows_the_pictures_that_are_there(dir);
    });
}

fn table_fits_a_terminal(table: &str) {
    for line in table.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    for told in [
        "Prefork uses more CPU",
        "2.89 times worker's",
        "no difference",
        "not measured",
    ] {
        assert!(table.contains(told), "{told}\n{table}");
    }
}

fn files_are_there_and_nothing_else(dir: &Path) {
    let names: BTreeSet<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let scenario = [
        "accept-queue",
        "accepts",
        "latency",
        "memory",
        "phases",
        "run-queue",
        "starts",
        "switches",
        "throughput",
    ];
    let overview = [
        "claims",
        "latency_p99_ns",
        "memory_bytes",
        "requests_per_s",
        "server_cpu_per_request_ns",
    ];
    let mut expected: BTreeSet<String> = ["comparison.json", "report.html", "report.md"]
        .map(String::from)
        .into();
    expected.extend(scenario.map(|chart| format!("high-load.{chart}.png")));
    expected.extend(overview.map(|chart| format!("overview.{chart}.png")));
    assert_eq!(names, expected);
    for picture in pictures(dir) {
        let file = fs::File::open(&picture).unwrap();
        let mut reader = png::Decoder::new(std::io::BufReader::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert!(info.width >= 1000, "{}", picture.display());
        let white = pixels.iter().filter(|byte| **byte == 255).count();
        assert!(white < pixels.len(), "{} is bare", picture.display());
    }
}

fn figures_are_the_made_up_ones(dir: &Path) {
    let text = fs::read_to_string(dir.join("comparison.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["metrics"].as_array().unwrap().len(), METRICS.len());
    let scenario = &json["scenarios"][0];
    assert_eq!(scenario["title"], HOSTILE);

    let worker = &scenario["mpms"]["worker"];
    assert_eq!(worker["memory_bytes"]["median"], 9_004_500.0);
    assert_eq!(worker["memory_bytes"]["low"], 9_001_000.0);
    assert_eq!(worker["memory_bytes"]["high"], 9_008_000.0);
    assert_eq!(worker["memory_bytes"]["n"], 8);
    assert_eq!(worker["requests_per_s"]["median"], 50.0);
    assert_eq!(worker["latency_p50_ns"]["median"], 1_050_000.0);
    assert_eq!(worker["server_cpu_per_request_ns"]["median"], 300_000.0);

    let event = &scenario["mpms"]["event"];
    assert_eq!(event["memory_bytes"]["n"], 7);
    assert_eq!(event["failed_requests"]["high"], 100.0);

    let runs = scenario["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 24);
    let run = |name: &str| runs.iter().find(|run| run["run"] == name).unwrap();
    assert_eq!(run("high-load.event.3")["status"], "not_started");
    assert_eq!(
        run("high-load.event.3")["metrics"]["memory_bytes"],
        Value::Null
    );
    assert_eq!(run("high-load.event.3")["log_codes"][0], "AH03104");
    assert_eq!(run("high-load.prefork.1")["join"]["joined"], 99);
    assert_eq!(
        run("high-load.prefork.1")["join"]["missing"]["no_connection"],
        1
    );
    assert_eq!(run("high-load.prefork.1")["outcomes"]["ok"], 100);
    let unreadable = run("high-load.worker.2")["unreadable"][0].as_str().unwrap();
    assert!(unreadable.contains("part-00009.parquet"), "{unreadable}");

    let groups = scenario["findings"].as_array().unwrap();
    let of = |mpm: &str| groups.iter().find(|group| group["mpm"] == mpm).unwrap();
    let event = of("event")["findings"].as_array().unwrap();
    assert_eq!(event[0]["rule"], "unexplained");
    assert_eq!(event[0]["runs"], serde_json::json!([3]));
    let blind = of("worker")["blind"].as_array().unwrap();
    let told = |spot: &Value| spot.as_str().unwrap().contains("part-00009.parquet");
    assert!(blind.iter().any(told), "{blind:?}");

    let left_out = json["left_out"].as_array().unwrap();
    let reasons: Vec<(&str, &str)> = left_out
        .iter()
        .map(|run| (run["run"].as_str().unwrap(), run["why"].as_str().unwrap()))
        .collect();
    assert_eq!(reasons.len(), 2);
    assert_eq!(
        reasons[0],
        ("high-load.prefork.9", "interrupted by the user")
    );
    assert_eq!(reasons[1].0, "high-load.event.9");
    assert!(
        reasons[1].1.starts_with("its manifest cannot be read"),
        "{}",
        reasons[1].1
    );

    claims_are_judged_by_the_made_up_figures(&json);
}

fn claims_are_judged_by_the_made_up_figures(json: &Value) {
    let claims = json["claims"].as_array().unwrap();
    let case = |metric: &str| {
        let named = |claim: &&Value| claim["claim"]["metric"] == metric;
        &claims.iter().find(named).unwrap()["cases"][0]
    };
    // Summed RSS is the same in all made-up runs; the cgroup is not.
    let memory = case("rss_bytes");
    assert_eq!(memory["own"]["verdict"], "no_difference");
    assert_eq!(memory["own"]["effect"]["value"], 1.0);
    let fair = &memory["fair"];
    assert_eq!(fair["verdict"], "confirmed");
    assert_eq!(fair["metric"], "memory_bytes");
    assert_eq!(fair["against"], "worker");
    let effect = &fair["effect"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(
        (number(&effect["value"]) - 26.0 / 9.0).abs() < 0.01,
        "{effect}"
    );
    assert!(number(&effect["interval"]["low"]) > 2.88, "{effect}");
    assert!(number(&effect["interval"]["high"]) < 2.90, "{effect}");
    assert_eq!(effect["n"], 8);
    assert_eq!(fair["needed_repetitions"], Value::Null);
    // Event's third run did not start, so it has no partner.
    assert_eq!(fair["comparisons"][1]["other"], "event");
    assert_eq!(fair["comparisons"][1]["effect"]["n"], 7);
    assert_eq!(
        memory["difference"],
        "By summed RSS prefork has 1.00 times what worker has, by what the kernel charges 2.89 \
         times."
    );
    let cpu = case("server_cpu_per_request_ns");
    assert_eq!(cpu["own"]["verdict"], "no_difference");
    assert_eq!(cpu["fair"], Value::Null);
    assert_eq!(json["tally"]["verdicts"]["confirmed"], 1);
    assert_eq!(json["tally"]["otherwise_in_own"], 1);
}

fn page_needs_nothing_else_and_escapes(dir: &Path) {
    let html = fs::read_to_string(dir.join("report.html")).unwrap();
    for reference in html.split(" src=\"").skip(1) {
        assert!(
            reference.starts_with("data:image/png;base64,"),
            "{}",
            &reference[..40]
        );
    }
    for reference in html.split(" href=\"").skip(1) {
        assert!(reference.starts_with('#'), "{}", &reference[..40]);
    }
    for external in ["<link", "<script", "@import", "url(", "<iframe"] {
        assert!(!html.contains(external), "{external}");
    }
    assert_eq!(html.matches(" src=\"").count(), pictures(dir).len());
    assert!(html.contains("&lt;script&gt;alert(1)"));
    for target in html.split("href=\"#").skip(1) {
        let anchor = target.split('"').next().unwrap();
        assert!(
            html.contains(&format!("id=\"{anchor}\"")),
            "{anchor} leads nowhere"
        );
    }
    for told in [
        "interrupted by the user",
        "part-00009.parquet",
        "no child became healthy",
        "AH03104",
        "What went wrong",
        "24 runs compared, 26 begun, 27 planned",
    ] {
        assert!(html.contains(told), "{told}");
    }
}

fn markdown_shows_the_pictures_that_are_there(dir: &Path) {
    let markdown = fs::read_to_string(dir.join("report.md")).unwrap();
    let mut shown: Vec<PathBuf> = markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|file| file.ends_with(".png"))
        .map(|file| dir.join(file))
        .collect();
    shown.sort();
    assert_eq!(shown, pictures(dir));
    assert!(
        !markdown.replace("\\<", "").contains('<'),
        "HTML in Markdown"
    );
    // Every row of a table has as many cells as the line under its head.
    let mut columns = None;
    for line in markdown.lines() {
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        let bars = line.replace("\\|", "").matches('|').count();
        assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
    }
}

#[test]
fn an_experiment_without_runs_has_a_report_that_a_later_one_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for command in ["before", "after"] {
        write_experiment(dir.path(), Vec::new(), "Empty", command);
        let report = make_report(dir.path()).unwrap();
        assert_eq!(report.summary, "no run that can be compared");
        said.push(fs::read_to_string(report.html).unwrap());
    }
    assert!(said[0].contains("<dd>before</dd>"));
    assert!(said[1].contains("<dd>after</dd>") && !said[1].contains("<dd>before</dd>"));
}

#[test]
fn a_directory_that_is_no_experiment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = make_report(dir.path()).unwrap_err().to_string();
    assert!(error.contains("experiment.json"), "{error}");
    assert!(error.contains("`lab`"), "{error}");
    assert!(!dir.path().join("report").exists());
}
