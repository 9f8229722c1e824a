//! All groups together, and the documentation.

use std::collections::BTreeSet;

use mpm_observer_common::{FailureRecord, FailureSource, RequestRecord, TaskRecord};

use super::*;
use crate::{
    httpd::Role,
    kernel::ProgramRuns,
    live::{QueueLook, TaskLook},
    otlp::SpanCounts,
    resources::{LimitUse, ListenCounters},
};

/// A task that is no slot.
pub(super) fn task(pid: u32) -> TaskLook {
    TaskLook {
        record: TaskRecord {
            pid,
            tgid: pid,
            created_ns: u64::from(pid),
            ..TaskRecord::default()
        },
        role: Role::Child,
        slot: None,
        blocked_in: None,
        since_ns: 0,
        client: None,
        request_since_ns: 0,
    }
}

/// What a group writes.
pub(super) fn written(write: impl FnOnce(&mut Exposition)) -> Exposition {
    let mut exposition = Exposition::default();
    write(&mut exposition);
    exposition
}

/// A moment at which everything has happened.
fn everything() -> Exposition {
    let mut metrics = Metrics::default();
    metrics.begin(Mpm::Event, 1, 80.into(), 0);
    let request = RequestRecord {
        accepted_ns: 2,
        queued_ns: 1,
        arrival_ns: 1,
        pickup_ns: 3,
        last_send_ns: 4,
        ..RequestRecord::default()
    };
    metrics.record(&Record::Request(request));
    let failure = FailureRecord {
        source: FailureSource::Call as u32,
        errno: 12,
        ..FailureRecord::default()
    };
    metrics.record(&Record::Failure(failure));
    metrics.record(&Record::Failure(FailureRecord {
        source: FailureSource::Signal as u32,
        signal: 9,
        ..failure
    }));
    let mut look = Look {
        tasks: vec![task(5)],
        queues: vec![QueueLook {
            port: 80,
            length: 0,
            limit: 511,
        }],
        listen: Some(ListenCounters::default()),
        ..Look::default()
    };
    look.effort.programs = vec![ProgramRuns {
        program: "read".into(),
        runs: 1,
        time_ns: 1,
        missed: 0,
    }];
    metrics.look(&look);
    let limit = Some(LimitUse {
        used: 1,
        limit: Some(2),
    });
    metrics.limits(LimitsLook {
        open_files: limit,
        address_space: limit,
        user_tasks: limit,
        cgroup_tasks: limit,
        cgroup_memory: limit,
        resident_bytes: Some(1),
    });
    let page = "ServerVersion: Apache/2.4.62\nServerMPM: event\nParentServerConfigGeneration: 1\n\
        Load1: 1\nTotal Accesses: 1\nTotal kBytes: 1\nTotal Duration: 1\nCPUUser: 1\nCPULoad: 1\n\
        Uptime: 1\nBusyWorkers: 1\nProcesses: 1\nConnsTotal: 1\nScoreboard: _\n\
        ProxyBalancer[0]Name: b\nProxyBalancer[0]Worker[0]Name: w\n\
        ProxyBalancer[0]Worker[0]Status: Ok\nProxyBalancer[0]Worker[0]Elected: 1\n\
        ProxyBalancer[0]Worker[0]Busy: 1\nProxyBalancer[0]Worker[0]Sent: 1K\n\
        ProxyBalancer[0]Worker[0]Rcvd: 1K\n";
    let page = StatusPage::parse(page);
    metrics.status(StatusOutcome::Answered, page, 1);
    metrics.lab_run(Some(("overload", 1)));
    metrics.spans(SpanCounts::default().named());
    let scrapes = ScrapeFigures {
        last_ns: Some(1),
        answers: [(200, 1)].into(),
        ..ScrapeFigures::default()
    };
    metrics.exposition(1, &scrapes, Some(&OwnProcess::default()))
}

#[test]
fn every_documented_family_is_exported_and_no_other() {
    let exported: Vec<&str> = everything()
        .families
        .iter()
        .map(|samples| samples.family.name)
        .collect();
    let documented: Vec<&str> = GROUPS
        .iter()
        .flat_map(|(_, families)| families.iter().map(|family| family.name))
        .collect();
    let (exported_set, documented_set): (BTreeSet<_>, BTreeSet<_>) =
        (exported.iter().collect(), documented.iter().collect());
    assert_eq!(exported_set, documented_set);
    assert_eq!(exported.len(), exported_set.len(), "a family in two pieces");
}

#[test]
fn no_two_samples_of_a_family_have_the_same_labels() {
    for FamilySamples { family, samples } in everything().families {
        let labels: BTreeSet<_> = samples.iter().map(|sample| &sample.labels).collect();
        assert_eq!(labels.len(), samples.len(), "{}", family.name);
    }
}

#[test]
fn names_keep_to_the_conventions() {
    for family in GROUPS.iter().flat_map(|(_, families)| families.iter()) {
        let name = family.name;
        assert_eq!(
            name.ends_with("_total"),
            family.kind == Kind::Counter,
            "{name}"
        );
        let prefixes = ["httpd_", "apache_", "mpm_observer_", "process_"];
        assert!(
            prefixes.iter().any(|prefix| name.starts_with(prefix)),
            "{name}"
        );
        // The text would have to escape it.
        assert!(!family.help.contains(['\\', '\n']), "{name}");
        assert!(
            !family.help.ends_with('.') && !family.help.is_empty(),
            "{name}"
        );
    }
}

/// The table of a group, as the documentation has it.
fn table(families: &[&Family]) -> String {
    let mut table =
        "| name | type | labels | unit | meaning | source |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for family in families {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| match label.values {
                "" => format!("`{}`", label.name),
                values => format!("`{}`: {values}", label.name),
            })
            .collect();
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            family.name,
            family.kind.name(),
            labels.join("; "),
            family.unit().unwrap_or(""),
            family.help,
            family.source
        );
        table.push_str(&row.replace("|  |", "| |").replace("|  |", "| |"));
    }
    table
}

#[test]
fn the_documentation_has_the_table_of_each_group() {
    let document = include_str!("../../../docs/metrics.md");
    for (heading, families) in GROUPS {
        assert!(document.contains(&format!("## {heading}\n")), "{heading}");
        let table = table(families);
        assert!(
            document.contains(&table),
            "docs/metrics.md should have\n{table}"
        );
    }
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("|"));
    let families: usize = GROUPS.iter().map(|(_, families)| families.len()).sum();
    // Beside them only the four prefixes.
    assert_eq!(rows.count(), families + 4);
}
