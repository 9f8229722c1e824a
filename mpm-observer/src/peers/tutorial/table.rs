//! The result as a table, in plain text and in Markdown.

use super::{COMMANDS, LoadgenSaid, Side, SideResults, Tool, ToolSaid};
use crate::{
    peers::{AbAccount, AbSaid, table::ending},
    text_table,
};

const NONE: &str = "–";

/// A table for a terminal and what goes with it.
#[must_use]
pub fn side_text(results: &SideResults) -> String {
    page(results, text_table::aligned, |line| format!("{line}\n"))
}

/// The same in Markdown.
#[must_use]
pub fn side_markdown(results: &SideResults) -> String {
    page(results, text_table::markdown, |line| format!("- {line}\n"))
}

fn page(
    results: &SideResults,
    table: impl Fn(&[[String; 11]]) -> String,
    line: impl Fn(&str) -> String,
) -> String {
    let mut text = format!("{}\n\n", about(results));
    for command in COMMANDS {
        if results
            .sides
            .iter()
            .any(|side| side.command == command.number)
        {
            let watched = if command.watched {
                ", while the server's CPU and memory are watched"
            } else {
                ""
            };
            text += &line(&format!("{}: `{}`{watched}", command.number, command.line));
        }
    }
    text += "\n";
    text += &table(&rows(results));
    text + &ending(&notes(results), &conclusion(results), line)
}

fn about(results: &SideResults) -> String {
    format!(
        "Each line is a run on a {} of its own (CPUs {:?}), with ab {} or loadgen {} on CPUs {:?}; \
         Linux {}. What a tool said is as it printed it; the server's own count is the number of \
         requests in its access log (in brackets: those whose connection broke before the answer \
         was out), and the growth of mod_status's \"Total Accesses\". `--ab-counts`: what loadgen \
         says that ab would have counted of the answers of loadgen's run above it.",
        results.httpd,
        results.server_cpus,
        results.ab,
        results.observer_version,
        results.client_cpus,
        results.kernel
    )
}

fn rows(results: &SideResults) -> Vec<[String; 11]> {
    let head = [
        "command",
        "MPM",
        "tool",
        "complete",
        "failed",
        "of which",
        "non-2xx",
        "s",
        "requests/s",
        "server logged",
        "mod_status",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for side in &results.sides {
        rows.push(row(side));
        if let ToolSaid::Loadgen(LoadgenSaid {
            of_ab: Some(account),
            ..
        }) = &side.said
        {
            rows.push(account_row(side, account));
        }
    }
    rows
}

/// What loadgen says that ab would have counted in loadgen's own run.
fn account_row(side: &Side, account: &AbAccount) -> [String; 11] {
    let mut cells = [const { String::new() }; 11];
    cells[0] = side.command.to_string();
    cells[1] = side.mpm.to_string();
    cells[2] = "--ab-counts".into();
    cells[3] = account.complete.to_string();
    cells[4] = account.failed.to_string();
    cells[5] = kinds(account.failures);
    if let Some(ended) = &account.ended {
        cells[5] = format!("ended: {ended}");
    }
    cells
}

/// ab's kinds of failures.
fn kinds([connect, receive, length, exceptions]: [u64; 4]) -> String {
    format!("Connect {connect}, Receive {receive}, Length {length}, Exceptions {exceptions}")
}

fn row(side: &Side) -> [String; 11] {
    let served = &side.served;
    let logged = match served.cut_off {
        0 => served.logged.to_string(),
        cut_off => format!("{} ({cut_off})", served.logged),
    };
    let [complete, failed, kinds, non_2xx, seconds, rate] = numbers(&side.said);
    [
        side.command.to_string(),
        side.mpm.to_string(),
        side.said.tool().name().to_owned(),
        complete,
        failed,
        kinds,
        non_2xx,
        seconds,
        rate,
        logged,
        count(served.total_accesses),
    ]
}

/// Complete, failed, of which, non-2xx, seconds, requests per second.
fn numbers(said: &ToolSaid) -> [String; 6] {
    match said {
        ToolSaid::Ab(AbSaid::Report(report)) => [
            report.complete.to_string(),
            report.failed.to_string(),
            report.failures.map_or_else(|| NONE.to_owned(), kinds),
            report.non_2xx.to_string(),
            format!("{:.3}", report.seconds),
            format!("{:.2}", report.per_second),
        ],
        ToolSaid::Ab(AbSaid::Ended { completed, why }) => [
            count(*completed),
            NONE.to_owned(),
            format!("ended: {why}"),
            NONE.to_owned(),
            NONE.to_owned(),
            NONE.to_owned(),
        ],
        ToolSaid::Loadgen(said) => {
            let outcomes = said.outcomes.iter().filter(|(_, count)| *count > 0);
            let outcomes: Vec<String> = outcomes
                .map(|(outcome, count)| format!("{} {count}", outcome.name()))
                .collect();
            let retried = match said.stale_retries {
                0 => String::new(),
                retries => format!(" ({retries} sent again)"),
            };
            [
                said.answered.to_string(),
                said.failed.to_string(),
                outcomes.join(", ") + &retried,
                said.outcomes.get(loadgen::Outcome::Non2xx).to_string(),
                format!("{:.3}", said.seconds),
                format!("{:.2}", said.per_second),
            ]
        }
    }
}

fn count(number: Option<u64>) -> String {
    number.map_or_else(|| NONE.to_owned(), |number| number.to_string())
}

/// What came of a run, in one line.
pub(super) fn one_line(side: &Side) -> String {
    let [complete, failed, kinds, ..] = numbers(&side.said);
    format!(
        "{complete} complete, {failed} failed ({kinds}); the server logged {}",
        side.served.logged
    )
}

fn notes(results: &SideResults) -> Vec<String> {
    let mut notes = Vec::new();
    for side in &results.sides {
        let name = format!(
            "{}, {}, {}",
            side.command,
            side.mpm,
            side.said.tool().name()
        );
        if let Some(why) = &side.not_started {
            notes.push(format!("{name}: there was no server: {why}"));
        }
        match side.surplus() {
            Some(surplus) if surplus > 0 => notes.push(format!(
                "{name}: it calls {} requests complete, and the server logged {}: at least \
                 {surplus} of them were never answered",
                count(side.said.answered()),
                side.served.logged
            )),
            _ => {}
        }
        if let Some(watched) = side.watched {
            let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            notes.push(format!(
                "{name}: the server took {} s of CPU time; its memory came to {:.0} MB as ps adds \
                 it up, {:.0} MB with shared pages counted once",
                watched
                    .cpu_s
                    .map_or_else(|| NONE.to_owned(), |cpu_s| format!("{cpu_s:.2}")),
                megabytes(watched.rss_bytes),
                megabytes(watched.pss_bytes)
            ));
        }
    }
    notes
}

/// One line: whether the counts agree.
fn conclusion(results: &SideResults) -> String {
    let of = |tool: Tool| {
        let sides = results.sides.iter();
        sides.filter(move |side| side.said.tool() == tool)
    };
    let holds = |side: &&Side| side.surplus() == Some(0);
    let claims_more = |side: &&Side| side.surplus().is_some_and(|surplus| surplus > 0);
    let ended = |side: &&Side| matches!(&side.said, ToolSaid::Ab(AbSaid::Ended { .. }));
    format!(
        "loadgen's answered is at most what the server counted in {} of {} runs; ab's \"Complete\" \
         is above it in {} of {}, and {} of its runs ended at the first error",
        of(Tool::Loadgen).filter(holds).count(),
        of(Tool::Loadgen).count(),
        of(Tool::Ab).filter(claims_more).count(),
        of(Tool::Ab).count(),
        of(Tool::Ab).filter(ended).count()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tutorial::side::tests::{ab, loadgen, side};

    fn results(sides: Vec<Side>) -> SideResults {
        SideResults {
            format: 3,
            observer_version: "1".into(),
            kernel: "6.18".into(),
            httpd: "Apache/2.4.67".into(),
            ab: "2.3".into(),
            server_cpus: vec![0],
            client_cpus: vec![1],
            sides,
        }
    }

    #[test]
    fn the_counts_of_tool_and_server_stand_in_one_row() {
        let results = results(vec![side(ab(5000), 4400), side(loadgen(5000), 5000)]);
        let page = side_markdown(&results);
        for part in [
            "| 2 | event | ab | 5000 | 900 | Connect 0, Receive 0, Length 600, Exceptions 300 | 0 \
             | 0.500 | 10000.00 | 4400 (3) | 4400 |",
            "| 2 | event | loadgen | 5000 | 0 | ok 5000, stale_keep_alive 40 (40 sent again) | 0 \
             | 0.600 | 8333.30 | 5000 (3) | 5000 |",
            "| 2 | event | --ab-counts | 5000 | 40 | Connect 0, Receive 0, Length 40, Exceptions 0 |",
            "- 2, event, ab: it calls 5000 requests complete, and the server logged 4400: at least \
             600 of them were never answered",
            "- 2: `ab -n 5000 -c 500 -k http://localhost/`",
        ] {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
        assert!(
            page.trim_end().ends_with(
                "in 1 of 1 runs; ab's \"Complete\" is above it in 1 of 1, and 0 of its runs ended \
                 at the first error"
            ),
            "{page}"
        );
    }

    #[test]
    fn an_answer_that_the_server_did_not_log_speaks_against_loadgen_too() {
        let results = results(vec![side(loadgen(5001), 5000)]);
        let page = side_text(&results);
        assert!(page.contains("in 0 of 1 runs"), "{page}");
        assert!(
            page.contains("2, event, loadgen: it calls 5001 requests"),
            "{page}"
        );
    }

    #[test]
    fn a_run_that_ended_early_shows_its_error() {
        let ended = ToolSaid::Ab(AbSaid::Ended {
            completed: Some(12),
            why: "apr_socket_recv: Connection refused (111)".into(),
        });
        let mut one = side(ended, 12);
        one.not_started = Some("httpd ended with status 1".into());
        let page = side_text(&results(vec![one]));
        assert!(page.contains("ended: apr_socket_recv: Connection refused (111)"));
        assert!(page.contains("there was no server: httpd ended with status 1"));
        assert!(page.contains("1 of its runs ended at the first error"));
    }
}
