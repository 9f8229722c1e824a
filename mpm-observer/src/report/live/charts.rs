//! The charts of a recorded server.

use plots::{
    Chart, Frame, LimitLine, PercentilePoint, PercentileSeries, Percentiles, SeriesStyle, Timeline,
    TimelinePanel, TimelinePoint, TimelineSeries, Unit,
};

use super::figures::LiveFigures;
use crate::{
    correlate::{RunAnalysis, server_phases},
    recording::{KernelRow, MemoryRow, SlotRow},
    report::charts::{PhaseBars, quantiles},
    report::text::whole,
    statistics::quantile,
};

/// A chart of a recorded server.
pub(super) struct LiveChart {
    /// Name of its file.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// How it is read.
    pub reading: &'static str,
    /// Makes it.
    pub make: fn(&RunAnalysis, &LiveFigures) -> Box<dyn Chart>,
}

/// All charts in their order.
pub(super) const CHARTS: &[LiveChart] = &[
    LiveChart {
        key: "phases",
        title: "Where the time goes",
        reading: "Each bar is the mean of requests whose time is near that percentile, split into \
                  what happened to them. Each panel has a scale of its own.",
        make: |run, figures| Box::new(phases(run, figures)),
    },
    LiveChart {
        key: "times",
        title: "Times by percentile",
        reading: "Each further nine to the right is ten times rarer. Where the server's part \
                  climbs and the accept queue does not, the waiting comes after accept.",
        make: |run, figures| Box::new(times(run, figures)),
    },
    LiveChart {
        key: "course",
        title: "Requests and their times over time",
        reading: "A step in the times without one in the rate comes from the server; both together \
                  come from the load.",
        make: |run, figures| Box::new(course(run, figures)),
    },
    LiveChart {
        key: "slots",
        title: "Slots by what they do",
        reading: "A slot is a task that can serve one request at a time. When all of them are busy, \
                  what is to come waits in the accept queue.",
        make: |run, figures| Box::new(slots(run, figures)),
    },
    LiveChart {
        key: "resources",
        title: "Accept queue, CPU and memory over time",
        reading: "PSS divides shared pages among their users, so that the sum over processes is \
                  what they take together.",
        make: |run, figures| Box::new(resources(run, figures)),
    },
];

fn frame(run: &RunAnalysis, figures: &LiveFigures, title: &str, footnote: &str) -> Frame {
    Frame::new(format!("{title}: {}", figures.title))
        .subtitle(format!(
            "{} \u{b7} {} recorded \u{b7} {} answered",
            figures.watched.in_words(),
            Unit::Seconds.format(figures.seconds),
            crate::wording::plural(figures.side.answered, "request"),
        ))
        .footnote(format!(
            "{footnote} Lost\u{a0}events:\u{a0}{}.",
            whole(run.manifest.counters.lost())
        ))
        .no_data("nothing of this was recorded")
}

fn phases(run: &RunAnalysis, figures: &LiveFigures) -> plots::Stacked {
    let (name, of) = match figures.bound_ns() {
        Some(bound_ns) => (
            "both sides",
            format!(
                "Successful requests seen from both sides; what crosses between the hosts is known \
                 to \u{b1} {}.",
                Unit::Nanoseconds.format(bound_ns as f64)
            ),
        ),
        None => (
            "server's part",
            "All answered requests, from the arrival of their bytes to the last send.".to_owned(),
        ),
    };
    let bars = PhaseBars::of(&[(name.to_owned(), figures.phases.clone())]);
    let footnote = format!("{of} {}", bars.remark);
    bars.draw(frame(run, figures, "Where the time goes", &footnote))
}

fn times(run: &RunAnalysis, figures: &LiveFigures) -> Percentiles {
    let side = &figures.side;
    let mut lines: Vec<(&str, &[u64])> = vec![
        ("server's part", &side.times_ns),
        ("accept queue", &side.accept_waits_ns),
        ("run queue", &side.run_queue_waits_ns),
    ];
    if figures.offset.is_some() {
        lines.push(("latency at the client", &run.latencies_ns));
    }
    // The place in the list gives the colour, whatever is left out.
    let lines = lines.into_iter().enumerate();
    let (lines, zero): (Vec<_>, Vec<_>) = lines.partition(|(_, (_, times))| !is_all_zero(times));
    let zero = zero
        .into_iter()
        .map(|(_, (name, _))| format!(" No {name} time in any request."));
    let zero: String = zero.collect();
    let series = lines.into_iter().map(|(index, (name, times))| {
        let points = quantiles(times.len()).into_iter().filter_map(|q| {
            // A scale of powers has no place for zero.
            let value = quantile(times, q).filter(|value| *value > 0)?;
            Some(PercentilePoint {
                quantile: q,
                value: value as f64,
                band: None,
            })
        });
        PercentileSeries {
            name: name.into(),
            style: SeriesStyle::new(index),
            points: points.collect(),
        }
    });
    Percentiles {
        frame: frame(
            run,
            figures,
            "Times by percentile",
            &format!(
                "Server's part: from the arrival of a request's bytes to its last send. Accept \
                 queue: per connection, answered or not. Run queue: waits for a CPU per request, \
                 before its read and while it was served. The fastest tenth is not shown.{zero}"
            ),
        ),
        x_title: "percentile".into(),
        y_title: "time".into(),
        unit: Unit::Nanoseconds,
        series: series.collect(),
    }
}

/// Whether there are times and none took any: a scale of powers cannot show that.
fn is_all_zero(times: &[u64]) -> bool {
    !times.is_empty() && times.iter().all(|time_ns| *time_ns == 0)
}

/// Bins over the recording, fewer for few requests …
const BINS: u64 = 60;
const FEWEST_BINS: u64 = 6;
/// … so that a bin holds about so many at least.
const REQUESTS_PER_BIN: u64 = 50;

fn course(run: &RunAnalysis, figures: &LiveFigures) -> Timeline {
    let bins = (figures.side.answered / REQUESTS_PER_BIN).clamp(FEWEST_BINS, BINS) as usize;
    let width_s = figures.seconds / bins as f64;
    let mut of_bin: Vec<Vec<u64>> = vec![Vec::new(); bins];
    if width_s > 0.0 {
        let (begin_ns, _) = run.load_ns();
        for row in run.kernel.iter().filter(|row| is_answered(row)) {
            let at_s = row.last_send_ns.saturating_sub(begin_ns) as f64 / 1e9;
            let bin = ((at_s / width_s) as usize).min(bins - 1);
            of_bin[bin].push(server_phases(row).wall_ns);
        }
    }
    for times in &mut of_bin {
        times.sort_unstable();
    }
    let middle = |bin: usize| (bin as f64 + 0.5) * width_s;
    let line = |name: &str, index: usize, value: &dyn Fn(&[u64]) -> Option<f64>| TimelineSeries {
        name: name.into(),
        style: SeriesStyle::new(index),
        points: of_bin
            .iter()
            .enumerate()
            .filter_map(|(bin, times)| {
                Some(TimelinePoint {
                    time_s: middle(bin),
                    value: value(times)?,
                    band: None,
                })
            })
            .collect(),
    };
    let at = |q: f64| move |times: &[u64]| quantile(times, q).map(|time_ns| time_ns as f64);
    Timeline {
        frame: frame(
            run,
            figures,
            "Requests and their times over time",
            &format!(
                "Each point is over {}. A request counts when its last byte was sent.",
                Unit::Seconds.format(width_s)
            ),
        ),
        x_title: TIME.into(),
        panels: vec![
            TimelinePanel {
                title: "answered requests per second".into(),
                unit: Unit::PerSecond,
                log: false,
                series: vec![line("answered", 0, &|times| {
                    (width_s > 0.0).then(|| times.len() as f64 / width_s)
                })],
                limits: Vec::new(),
            },
            TimelinePanel {
                title: "server's part".into(),
                unit: Unit::Nanoseconds,
                log: false,
                series: vec![
                    line("median", 1, &at(0.5)),
                    line("p90", 2, &at(0.9)),
                    line("p99", 3, &at(0.99)),
                ],
                limits: Vec::new(),
            },
        ],
        events: Vec::new(),
    }
}

const TIME: &str = "time since the recording began";

fn is_answered(row: &KernelRow) -> bool {
    row.is_whole() && row.pickup_ns != 0 && row.last_send_ns != 0
}

/// A state of the slots: name in the chart, and its count.
type State = (&'static str, fn(&SlotRow) -> u32);

/// States of busy slots, those that are alike together: more lines are not told apart. The idle
/// ones would press the others flat; the line of all slots tells how many they are.
const STATES: [State; 6] = [
    ("on CPU or run queue", |row| row.on_cpu + row.run_queue),
    ("lock, disk, other", |row| row.lock + row.disk + row.other),
    ("reading from a client", |row| row.reading_client),
    ("sending to a client", |row| row.sending),
    ("keep-alive", |row| row.keep_alive),
    ("closing", |row| row.closing),
];

fn slots(run: &RunAnalysis, figures: &LiveFigures) -> Timeline {
    let states = STATES
        .iter()
        .enumerate()
        // What never occurred only makes the legend longer.
        .filter(|(_, (_, count))| run.slots.iter().any(|row| count(row) > 0));
    let slot_lines = states.map(|(index, (name, count))| {
        series(run, name, index, &run.slots, |row| {
            Some((row.t_ns, f64::from(count(row))))
        })
    });
    let slot_panel = TimelinePanel {
        title: "busy slots".into(),
        unit: Unit::Count,
        log: false,
        series: slot_lines.collect(),
        limits: figures.slots.map_or_else(Vec::new, |slots| {
            vec![LimitLine {
                value: f64::from(slots),
                label: "all slots".into(),
            }]
        }),
    };
    let connections: [State; 3] = [
        ("connections", |row| row.connections),
        ("held without a slot", |row| row.parked),
        ("bytes unread", |row| row.unread),
    ];
    let connection_lines = connections
        .iter()
        .enumerate()
        .map(|(index, (name, count))| {
            series(run, name, STATES.len() + index, &run.slots, |row| {
                Some((row.t_ns, f64::from(count(row))))
            })
        });
    let connection_panel = TimelinePanel {
        title: "connections".into(),
        unit: Unit::Count,
        log: false,
        series: connection_lines.collect(),
        limits: Vec::new(),
    };
    Timeline {
        frame: frame(
            run,
            figures,
            "Slots by what they do",
            "One look about every second; what is shorter than that is met by chance.",
        ),
        x_title: TIME.into(),
        panels: vec![slot_panel, connection_panel],
        events: Vec::new(),
    }
}

fn resources(run: &RunAnalysis, figures: &LiveFigures) -> Timeline {
    let panel = |title: &str, unit: Unit, series: Vec<TimelineSeries>| TimelinePanel {
        title: title.into(),
        unit,
        log: false,
        series,
        limits: Vec::new(),
    };
    let queue = series(run, "accept queue", 0, &run.samples, |row| {
        Some((row.t_ns, f64::from(row.accept_queue?)))
    });
    let memory = |role: &'static str, index: usize| {
        let rows: Vec<MemoryRow> = run
            .memory
            .iter()
            .filter(|row| row.role == role)
            .cloned()
            .collect();
        let name = match role {
            "parent" => "parent",
            _ => "children",
        };
        series(run, name, index, &rows, |row| {
            Some((row.t_ns, row.pss_bytes as f64))
        })
    };
    let panels = vec![
        panel("connections in the accept queue", Unit::Count, vec![queue]),
        panel("CPUs used by httpd", Unit::Count, vec![cpu(run)]),
        panel(
            "memory: sum of PSS",
            Unit::Bytes,
            vec![memory("child", 2), memory("parent", 3)],
        ),
    ];
    Timeline {
        frame: frame(
            run,
            figures,
            "Accept queue, CPU and memory over time",
            "The queue is looked at ten times a second, memory twice; CPU is the mean over about a \
             second.",
        )
        .size(1200, 730),
        x_title: TIME.into(),
        panels,
        events: Vec::new(),
    }
}

/// CPU time between samples about a second apart: the kernel counts in steps of 10 ms.
fn cpu(run: &RunAnalysis) -> TimelineSeries {
    const APART: usize = 10;
    let (begin_ns, _) = run.load_ns();
    let pairs = run.samples.iter().zip(run.samples.iter().skip(APART));
    let points = pairs.step_by(APART).filter_map(|(from, to)| {
        let span_ns = to.t_ns.checked_sub(from.t_ns).filter(|span| *span > 0)?;
        // The processes of an httpd that has ended are not there any more.
        let used_ns = to.server_cpu_ns.checked_sub(from.server_cpu_ns)?;
        Some(TimelinePoint {
            time_s: (to.t_ns as f64 - begin_ns as f64) / 1e9,
            value: used_ns as f64 / span_ns as f64,
            band: None,
        })
    });
    TimelineSeries {
        name: "CPUs".into(),
        style: SeriesStyle::new(1),
        points: points.collect(),
    }
}

/// A line of rows by the time since the begin.
fn series<R>(
    run: &RunAnalysis,
    name: &str,
    index: usize,
    rows: &[R],
    value: impl Fn(&R) -> Option<(u64, f64)>,
) -> TimelineSeries {
    let (begin_ns, _) = run.load_ns();
    let points = rows.iter().filter_map(|row| {
        let (t_ns, value) = value(row)?;
        Some(TimelinePoint {
            time_s: (t_ns as f64 - begin_ns as f64) / 1e9,
            value,
            band: None,
        })
    });
    TimelineSeries {
        name: name.into(),
        style: SeriesStyle::new(index),
        points: points.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::made_up::{
            analysed,
            rows::{Figures, of_live_server, rows},
        },
        scenario::Mpm,
    };

    #[test]
    fn times_that_are_all_zero_are_not_said_to_be_missing() {
        let mut rows = of_live_server(rows(Mpm::Prefork, 1, &Figures::default()));
        let drawn = |rows: &crate::report::made_up::rows::Rows| {
            let run = analysed(rows.clone());
            let chart = times(&run, &LiveFigures::of(&run));
            let names: Vec<String> = chart.series.iter().map(|line| line.name.clone()).collect();
            (names, chart.frame.footnote)
        };
        let (names, footnote) = drawn(&rows);
        assert_eq!(names, ["server's part", "accept queue", "run queue"]);
        assert!(!footnote.contains("No run queue"), "{footnote}");
        for row in &mut rows.kernel {
            (row.woken_wait_ns, row.preempted_ns) = (0, 0);
        }
        let (names, footnote) = drawn(&rows);
        assert_eq!(names, ["server's part", "accept queue"]);
        assert!(
            footnote.contains("No run queue time in any request."),
            "{footnote}"
        );
    }
}
