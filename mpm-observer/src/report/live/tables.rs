//! The tables of a recorded server: one column of values.

use plots::Unit;

use super::{figures::LiveFigures, words::without_a_time};
use crate::{
    correlate::{KernelOnly, Missing, Phase, RunAnalysis},
    recording::{Ended, Status},
    report::{
        tables::{Cell, Row, Table},
        text::{percent, plural, whole},
        utc,
    },
    statistics::quantile,
};

const NONE: &str = "\u{2013}";

fn row(label: &str, hint: &str, value: impl Into<String>) -> Row {
    Row {
        label: label.into(),
        hint: hint.into(),
        cells: vec![Cell::plain(value)],
    }
}

fn table(title: &str, column: &str, rows: Vec<Row>) -> Table {
    Table {
        title: title.into(),
        columns: vec![column.into()],
        rows,
        notes: Vec::new(),
    }
}

/// The longest accept queue, and how many it takes if that is known.
fn queue(run: &RunAnalysis) -> String {
    let longest = whole(run.sampled.accept_queue_max.into());
    let limits = run.samples.iter().filter_map(|row| row.accept_queue_limit);
    match limits.max() {
        Some(limit) => format!("{longest} of {}", whole(limit.into())),
        None => longest,
    }
}

fn time(times_ns: &[u64], q: f64) -> String {
    quantile(times_ns, q).map_or_else(
        || NONE.into(),
        |time_ns| Unit::Nanoseconds.format(time_ns as f64),
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.into(), |value| Unit::Count.format(value))
}

/// The figures that come first.
pub(super) fn key_figures(run: &RunAnalysis, figures: &LiveFigures) -> Table {
    let side = &figures.side;
    let tasks = &run.tasks.all;
    let cpu = figures.per_request(tasks.on_cpu_ns);
    let mut rows = vec![
        row(
            "answered requests",
            "requests of which a task had read bytes and to which it sent some",
            whole(side.answered),
        ),
        row(
            "… per second",
            "over the whole recording",
            whole(figures.per_second().round() as u64),
        ),
    ];
    if side.unanswered > 0 {
        rows.push(row(
            "not answered",
            "a task had begun to read, and nothing was sent before the connection or the recording \
             ended; httpd's own dummy connections may be among them",
            whole(side.unanswered),
        ));
    }
    rows.extend([
        row(
            "connections",
            "whose first request is among them, and those that stood before and had one since",
            match side.stood {
                0 => whole(side.connections),
                stood => format!(
                    "{} and {} that stood",
                    whole(side.connections),
                    whole(stood)
                ),
            },
        ),
        row(
            "server's part, median",
            "from the arrival of a request's bytes to the last send of its answer",
            time(&side.times_ns, 0.5),
        ),
        row("… p90", "", time(&side.times_ns, 0.9)),
        row("… p99", "", time(&side.times_ns, 0.99)),
        row("… p99.9", "", time(&side.times_ns, 0.999)),
        row("… longest", "", time(&side.times_ns, 1.0)),
        row(
            "accept queue, median",
            "from a connection's being put into the accept queue to accept, whether it was then \
             answered or not",
            time(&side.accept_waits_ns, 0.5),
        ),
        row("… p99", "", time(&side.accept_waits_ns, 0.99)),
        row(
            "run queue, median",
            "waits for a CPU per request, of the task that was to read it and of those that served",
            time(&side.run_queue_waits_ns, 0.5),
        ),
        row("… p99", "", time(&side.run_queue_waits_ns, 0.99)),
        row(
            "CPU per request",
            "time on a CPU of all httpd tasks, divided by the requests",
            cpu.map_or_else(|| NONE.into(), |ns| Unit::Nanoseconds.format(ns)),
        ),
        row(
            "voluntary switches per request",
            "of the serving tasks while they served",
            number(figures.per_request(side.voluntary)),
        ),
        row(
            "involuntary switches per request",
            "likewise",
            number(figures.per_request(side.involuntary)),
        ),
        row(
            "page faults per request",
            "minor and major ones, of the serving tasks while they served",
            number(figures.per_request(side.faults_minor + side.faults_major)),
        ),
        row(
            "slots busy, mean and most",
            "slots that are not idle; a kept connection that holds one makes it busy",
            match (figures.busy_mean, figures.busy_max, figures.slots) {
                (Some(mean), Some(most), Some(slots)) => format!(
                    "{} and {} of {}",
                    Unit::Count.format(mean),
                    whole(most.into()),
                    whole(slots.into())
                ),
                _ => NONE.into(),
            },
        ),
        row(
            "accept queue, longest",
            "connections in it, of all ports together, looked at ten times a second",
            queue(run),
        ),
        row(
            "memory, most",
            "sum of the proportional set sizes of all processes",
            run.sampled
                .pss_max_bytes
                .map_or_else(|| NONE.into(), |bytes| Unit::Bytes.format(bytes as f64)),
        ),
        row(
            "processes and tasks, most",
            "",
            format!(
                "{} and {}",
                whole(run.sampled.processes_max.into()),
                whole(run.sampled.tasks_max.into())
            ),
        ),
    ]);
    let mut table = table("Key figures", "", rows);
    if let Some(untimed) = without_a_time(side) {
        table.notes.push(format!("{untimed}."));
    }
    table
}

/// Where the time of the mean request goes.
pub(super) fn phase_table(figures: &LiveFigures) -> Table {
    let mut rows: Vec<Row> = Phase::ALL
        .into_iter()
        .map(|phase| (phase, figures.mean_ns(phase)))
        .filter(|(_, mean_ns)| *mean_ns > 0.0)
        .map(|(phase, mean_ns)| {
            let value = Unit::Nanoseconds.format(mean_ns);
            let value = match figures.bound_ns().filter(|_| figures.crosses(phase)) {
                Some(bound_ns) => format!("{value} \u{b1} {}", offset_text(bound_ns as f64)),
                None => value,
            };
            row(phase.name(), phase.meaning(), value)
        })
        .collect();
    let n = figures.phases.len().max(1) as f64;
    let walls: u64 = figures.phases.iter().map(|phases| phases.wall_ns).sum();
    let residuals: u64 = figures
        .phases
        .iter()
        .map(|phases| phases.residual_ns().unsigned_abs())
        .sum();
    rows.push(row(
        "residual",
        "what no phase accounts for, without its sign",
        Unit::Nanoseconds.format(residuals as f64 / n),
    ));
    let (whole_of, note) = match figures.offset {
        Some(_) => (
            "from the request's begin at the client to the last byte of its answer",
            "Means over the successful requests that were seen from both sides. What crosses from \
             one host to the other is known as well as the clock offset (\u{b1}).",
        ),
        None => (
            "from the arrival of its bytes at the server to the last send of the answer",
            "Means over all answered requests, the server's part. A mean is ruled by the slowest \
             requests; the picture shows those near the median and in the tail.",
        ),
    };
    rows.push(row(
        "whole request",
        whole_of,
        Unit::Nanoseconds.format(walls as f64 / n),
    ));
    let mut table = table("Where the time of the mean request goes", "", rows);
    table.notes.push(note.into());
    table
}

/// The client's side of a joined recording.
pub(super) fn client_table(run: &RunAnalysis, figures: &LiveFigures) -> Option<Table> {
    let offset = figures.offset.as_ref()?;
    let mut rows = vec![
        row(
            "successful requests",
            "with a complete answer of a status below 400, at the client",
            whole(run.ok()),
        ),
        row("failed requests", "", whole(run.failed())),
        row(
            "joined",
            "successful requests that were seen from both sides",
            run.joined_share()
                .map_or_else(|| NONE.into(), |share| percent(100.0 * share)),
        ),
        row(
            "latency, median",
            "from when a successful request was due to its last byte, at the client",
            time(&run.latencies_ns, 0.5),
        ),
        row("… p99", "", time(&run.latencies_ns, 0.99)),
    ];
    for cause in Missing::ALL {
        if let Some(count) = run.join.missing.get(&cause) {
            rows.push(row(
                "not joined",
                "",
                format!("{} {}", whole(*count), cause.words()),
            ));
        }
    }
    if let Some(stood) = run.join.kernel_only.get(&KernelOnly::Stood) {
        rows.push(row(
            "of this client, not joined",
            "on connections that stood before the recording began: which of the client's requests \
             they are is not known",
            whole(*stood),
        ));
    }
    rows.push(row(
        "requests of others",
        "that the server served and this client did not send",
        whole(run.join.strangers()),
    ));
    let mut table = table("The client's side", "", rows);
    table.notes.push(format!(
        "{}, from {}{}.",
        offset.in_words(),
        plural(offset.pairs, "request"),
        match offset.contradicting {
            0 => String::new(),
            count => format!("; {} contradict it and were left out", whole(count)),
        }
    ));
    Some(table)
}

/// A duration that may be less than a microsecond.
fn offset_text(ns: f64) -> String {
    Unit::Nanoseconds.format(ns)
}

/// What was lost.
pub(super) fn losses(run: &RunAnalysis) -> Table {
    let counters = &run.manifest.counters;
    let mut rows: Vec<Row> = counters
        .books
        .iter()
        .filter(|book| book.sent > 0)
        .map(|book| {
            row(
                &format!("{}, {}", book.program, book.what),
                "sent = received + lost",
                format!(
                    "{} sent, {} received, {} lost",
                    whole(book.sent),
                    whole(book.received),
                    whole(book.lost)
                ),
            )
        })
        .collect();
    rows.push(row(
        "connections not followed",
        "for want of room in the table",
        whole(counters.conns_unfollowed),
    ));
    rows.push(row(
        "tasks not followed",
        "for want of room in the table",
        whole(counters.tasks_unfollowed),
    ));
    table("Records of the probes", "", rows)
}

/// Names and values of the setting.
pub(super) fn facts(run: &RunAnalysis) -> Vec<(String, String)> {
    let manifest = &run.manifest;
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push((name.to_owned(), value));
        }
    };
    let Some(live) = manifest.live() else {
        return facts;
    };
    add("Begun", format!("{} UTC", utc(manifest.began_unix_s)));
    let length = Unit::Seconds.format(run.load_seconds());
    let asked = Unit::Seconds.format(live.asked.as_secs_f64());
    add(
        "Recorded",
        match (&manifest.status, live.ended) {
            (Status::Running | Status::Failed(_), _) => format!("{length} of {asked}, cut off"),
            (_, Ended::Duration) => length,
            (_, Ended::Interrupted) => format!("{length} of {asked}, ended by the user"),
            (_, Ended::ServerGone) => format!("{length} of {asked}: then httpd had ended"),
        },
    );
    add("Host", live.host.clone());
    add(
        "httpd",
        format!("{} ({})", manifest.httpd_version, manifest.httpd_path),
    );
    add("MPM", manifest.mpm.to_string());
    add("Process", live.pid.to_string());
    add("Unit", live.unit.clone().unwrap_or_default());
    add("Container", live.container.clone().unwrap_or_default());
    let listens: Vec<String> = live.listens.iter().map(ToString::to_string).collect();
    add("Listens on", listens.join(", "));
    add("Watched", live.watched().in_words());
    add("User of its children", manifest.httpd_user.clone());
    let machine = &manifest.machine;
    add(
        "Machine",
        format!(
            "Linux {}, {} online, {:.1} GB of memory",
            machine.kernel,
            plural(u64::from(machine.cpus), "CPU"),
            machine.memory_bytes as f64 / 1e9
        ),
    );
    if let Some(client) = &live.client {
        add("Client's rows", client.source.clone());
        add("Clock offset", client.offset.in_words());
    }
    add("mpm-observer", manifest.observer_version.clone());
    add(
        "CPU time of the observer",
        Unit::Nanoseconds.format(manifest.observer_cpu_ns as f64),
    );
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        correlate::KernelOnly,
        recording::{ClockOffset, OffsetAt},
        report::made_up::{
            analysed,
            rows::{Figures, of_live_server, rows},
        },
        scenario::Mpm,
    };

    fn value(table: &Table, label: &str) -> String {
        let mut rows = table.rows.iter();
        let row = rows.find(|row| row.label == label);
        row.map_or_else(String::new, |row| row.cells[0].text.clone())
    }

    #[test]
    fn connections_that_stood_are_told_beside_the_new_ones() {
        let mut made_up = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        for row in &mut made_up.kernel[..10] {
            row.established_ns = 0;
            row.no_arrival = true;
        }
        let run = analysed(made_up);
        let table = key_figures(&run, &LiveFigures::of(&run));
        assert_eq!(value(&table, "connections"), "89 and 10 that stood");
        assert_eq!(
            table.notes,
            ["10 requests without a time (begun before the recording)."]
        );
    }

    #[test]
    fn the_clients_own_requests_are_not_told_as_those_of_others() {
        let run = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        let mut run = analysed(run);
        run.join.missing = [(Missing::Before, 1_010)].into();
        run.join.kernel_only = [(KernelOnly::Stood, 311)].into();
        let mut figures = LiveFigures::of(&run);
        figures.offset = Some(ClockOffset {
            at: vec![OffsetAt::default()],
            ..ClockOffset::default()
        });
        let table = client_table(&run, &figures).expect("a client");
        assert_eq!(value(&table, "requests of others"), "0");
        assert_eq!(value(&table, "of this client, not joined"), "311");
        assert_eq!(
            value(&table, "not joined"),
            "1,010 on connections begun before the recording"
        );
    }
}
