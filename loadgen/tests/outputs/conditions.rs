//! Conditions that judge a run or end it.

use loadgen::{Outcome, Row};

use crate::{Files, loadgen, mixed_server};

#[test]
fn conditions_decide_what_is_success() {
    let server = mixed_server();
    let url = server.url();
    let run = |conditions: &[&str]| {
        let mut args = vec!["-n", "100", "-q"];
        args.extend(
            conditions
                .iter()
                .flat_map(|condition| ["--fail-if", condition]),
        );
        args.push(&url);
        let (code, _, stderr) = loadgen(&args);
        (code, stderr)
    };
    assert_eq!(run(&["failed>50%", "max>60s"]), (Some(0), String::new()));
    let (code, stderr) = run(&["failed>50%", "failed >= 10%", "non2xx>0"]);
    assert_eq!(code, Some(4));
    assert_eq!(
        stderr,
        "loadgen: --fail-if failed>=10%: it was 50.000 %, 50 of 100\n\
         loadgen: --fail-if non2xx>0: there were 25 of 100\n"
    );
    let (code, stderr) = run(&["p99>200"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("'p99>200'") && stderr.contains("character 5"),
        "{stderr}"
    );
}

#[test]
fn a_stop_condition_ends_a_run_that_would_go_on() {
    let server = mixed_server();
    let files = Files::new();
    let (rows, json) = (files.text("rows"), files.text("json"));
    let (code, stdout, stderr) = loadgen(&[
        "-t",
        "600",
        "-c",
        "4",
        "-q",
        "--stop-if",
        "short_body>20",
        "--rows",
        &rows,
        "--json",
        &json,
        &server.url(),
    ]);
    assert_eq!((code, stderr.as_str()), (Some(4), ""));
    assert!(
        stdout.contains("Ended early by --stop-if short_body>20: there were "),
        "{stdout}"
    );
    let summary = files.report("json").summary;
    assert!(
        summary
            .stopped_by
            .is_some_and(|reason| reason.starts_with("short_body>20"))
    );
    assert!(summary.outcomes.get(Outcome::ShortBody) > 20);
    let bytes = std::fs::read(rows).expect("rows");
    let counted = summary.outcomes.sum_where(|_| true);
    assert_eq!(bytes.len() as u64, counted * Row::SIZE as u64);
    let (code, _, stderr) = loadgen(&["--stop-if", "p99>1s", &server.url()]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("not known before the end"), "{stderr}");
}
