//! Descriptors that were refused.

use super::{CLIENT, FAILURES, LOG, Rule, number, refused, sentence};
use crate::findings::{
    Change, Remedy,
    evidence::RunEvidence,
    observation::{Observation, Seen},
    reached::Reached,
};

pub(super) const OF_PROCESS: Rule = Rule {
    name: "open-files",
    looks_for: "accept4, openat, socket or another call with EMFILE, at RLIMIT_NOFILE",
    needs: &[FAILURES, CLIENT, LOG],
    observe: |run, _| observe(run, Reached::OpenFiles),
    tell: tell_process,
    remedies,
};

pub(super) const OF_SYSTEM: Rule = Rule {
    name: "open-files-of-the-system",
    looks_for: "a call with ENFILE, at fs.file-max",
    needs: &[FAILURES, CLIENT, LOG],
    observe: |run, _| observe(run, Reached::SystemFiles),
    tell: |seen| {
        let cause = format!(
            "{}: the whole system had as many files open as fs.file-max allows",
            refused::told(seen)
        );
        sentence(&cause, &seen.consequences(), "")
    },
    remedies: |_| {
        vec![Remedy {
            text: "Raise fs.file-max (sysctl), or find out what holds the files.".into(),
            change: None,
        }]
    },
};

/// Answers by which httpd tells the client that it could not open something.
const ANSWERS: [u16; 3] = [403, 500, 503];

fn observe(run: &RunEvidence<'_>, limit: Reached) -> Option<Observation> {
    let refused = refused::refused_at(run, limit)?;
    let mut seen = refused.observation(run);
    let row = refused.typical;
    if let Some(limit) = row.open_files_limit {
        seen.figure("limit", limit as f64);
    }
    match row.open_files {
        Some(used) => {
            seen.figure("used", used as f64);
        }
        None => seen
            .missing
            .push("how many files were open was not read".into()),
    }
    let accept = refused
        .rows
        .iter()
        .any(|(_, row)| row.call.starts_with("accept"));
    let met = run
        .failed_requests()
        .filter(|(_, client)| {
            let under_way = client.start_ns..=client.end_ns;
            let met = refused
                .rows
                .iter()
                .any(|(_, row)| under_way.contains(&row.t_ns));
            let refused_file = ANSWERS.contains(&client.status);
            // A connection that cannot be accepted stays in the queue; that of a child that gives
            // up is closed.
            met && (refused_file || (accept && client.status == 0))
        })
        .map(|(place, _)| place);
    seen.clients.extend(met);
    Some(seen)
}

fn tell_process(seen: &Seen<'_>) -> String {
    let at = if seen.middle("used").is_some() {
        format!(
            ", at {} of {} open files (ulimit -n)",
            seen.count("used"),
            seen.count("limit")
        )
    } else {
        format!(
            ", at a limit of {} open files (ulimit -n)",
            seen.count("limit")
        )
    };
    let cause = format!("{}{at}", refused::told(seen));
    sentence(
        &cause,
        &seen.consequences(),
        "httpd came up whole and no request failed",
    )
}

fn remedies(seen: &Seen<'_>) -> Vec<Remedy> {
    let figures = (seen.plan, seen.most("used"), seen.middle("limit"));
    let (Some(plan), Some(used), Some(limit)) = figures else {
        return Vec::new();
    };
    // What is open beside connections is at most what was open; each connection takes one more,
    // and one for the file that it is sent.
    let threads = f64::from(plan.server.threads_per_child);
    let enough = number(used.max(limit) + 2.0 * threads);
    vec![Remedy {
        text: format!(
            "ulimit -n {enough}: {} open files of now and two more for each of the {} of a \
             process (a connection and its file).",
            number(used),
            crate::wording::plural(u64::from(plan.server.threads_per_child), "slot"),
        ),
        change: Some(Change::Limit {
            key: "open_files".into(),
            value: Some(enough),
        }),
    }]
}
