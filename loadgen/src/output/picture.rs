//! The picture of a run: latency by percentile, then rate, latency and outcomes over time.

use plots::{
    Chart, Frame, PercentilePoint, PercentileSeries, Percentiles, PlotError, SeriesStyle, Timeline,
    TimelinePanel, TimelinePoint, TimelineSeries, Unit,
};

use super::course::{Course, Part};
use crate::{Config, Histogram, Outcome, Pace, Summary};

/// Points of a line at most …
const POINTS_MAX: usize = 120;
/// … and fewer, down to so many, …
const POINTS_LEAST: usize = 12;
/// … so that a point stands for so many requests, and chance does not make the picture.
const REQUESTS_PER_POINT: u64 = 30;

/// The least quantile that is shown: the few fastest would take half of the scale.
const LEAST_QUANTILE: f64 = 0.1;

/// Draws a run as a PNG.
///
/// # Errors
/// When the charts cannot be drawn, which their data gives no reason for.
pub fn picture(config: &Config, summary: &Summary, course: Course) -> Result<Vec<u8>, PlotError> {
    let percentiles = percentiles(config, summary);
    let timeline = timeline(config, summary, course);
    let charts: [&dyn Chart; 2] = [&percentiles, &timeline];
    plots::png_in_column(&charts)
}

/// What was asked of whom.
fn subtitle(config: &Config) -> String {
    let others = config.targets.len() - 1;
    let url = match others {
        0 => config.target().url(),
        _ => format!("{} and {others} more", config.target().url()),
    };
    let pace = match &config.pace {
        Pace::Open { .. } => "open loop",
        Pace::Closed { .. } => "closed loop",
    };
    let connections = match config.keep_alive {
        true => "keep-alive",
        false => "a connection per request",
    };
    format!(
        "{url} · {pace} · {} at once · {connections}",
        config.concurrency
    )
}

fn percentiles(config: &Config, summary: &Summary) -> Percentiles {
    let latencies = &summary.latencies;
    let series = |name: &str, index, histogram: &Histogram| PercentileSeries {
        name: name.to_owned(),
        style: SeriesStyle::new(index),
        points: points(histogram),
    };
    let answered = grouped(summary.answered());
    let (series, meaning) = if config.pace.is_open() {
        (
            vec![
                series("corrected", 0, &latencies.total),
                series("raw", 1, &latencies.raw),
            ],
            "Corrected: from when a request was due. Raw: from when it began, as a generator \
             measures that does not see its own waiting.",
        )
    } else {
        (
            vec![series("latency", 0, &latencies.total)],
            "From the begin of a request, connecting included, to its last byte. In a closed \
             loop a stalled server is asked less often: the tail is that of the requests that \
             were sent.",
        )
    };
    Percentiles {
        frame: Frame::new("Latency by percentile")
            .subtitle(subtitle(config))
            .footnote(format!(
                "{answered} answers; the fastest tenth is not shown. {meaning}"
            ))
            .no_data("no request was answered")
            .size(1200, 560),
        x_title: "percentile of the answered requests".to_owned(),
        y_title: "latency".to_owned(),
        unit: Unit::Nanoseconds,
        series,
    }
}

/// The latency at equal distances on an axis of nines, up to the greatest of all.
fn points(histogram: &Histogram) -> Vec<PercentilePoint> {
    let count = histogram.count();
    if count == 0 {
        return Vec::new();
    }
    let point = |quantile, value_ns| PercentilePoint {
        quantile,
        value: value_ns as f64,
        band: None,
    };
    let greatest = 1.0 - 1.0 / count as f64;
    let mut points: Vec<PercentilePoint> = (1..)
        .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 20.0))
        .take_while(|quantile| *quantile < greatest)
        .filter(|quantile| *quantile >= LEAST_QUANTILE)
        .map(|quantile| point(quantile, histogram.percentile_ns(100.0 * quantile)))
        .collect();
    points.push(point(greatest, histogram.max_ns()));
    points
}

fn timeline(config: &Config, summary: &Summary, mut course: Course) -> Timeline {
    let length_s = summary.wall_seconds();
    while course.len() > POINTS_MAX
        || (course.len() > POINTS_LEAST
            && summary.requests / (course.len() as u64) < REQUESTS_PER_POINT)
    {
        course.coarsen();
    }
    let parts = course.parts(length_s);
    let mut panels = vec![rates(config, &parts), latencies(&parts)];
    let outcomes = outcomes(summary, &parts);
    let all_right = outcomes.series.is_empty();
    if !all_right {
        panels.push(outcomes);
    }
    let mut footnote = format!(
        "Each point stands for {}; a request counts where it ended.",
        Unit::Seconds.format(course.width_s())
    );
    let mut remark = |applies: bool, text: String| {
        if applies {
            footnote.push(' ');
            footnote.push_str(&text);
        }
    };
    let aborted = summary.outcomes.get(Outcome::Aborted);
    remark(
        all_right && summary.answered() > 0,
        "None of them failed, or had status 4xx or 5xx.".to_owned(),
    );
    remark(
        aborted > 0,
        format!("Under way at the end: {}.", grouped(aborted)),
    );
    remark(
        summary.unsent > 0,
        format!("Due and never begun: {}.", grouped(summary.unsent)),
    );
    if let Some(reason) = &summary.stopped_by {
        remark(true, format!("Ended early by {reason}."));
    }
    remark(
        summary.client_was_busy(),
        "The client was the brake: the server may be faster.".to_owned(),
    );
    let height = 160 + 240 * panels.len() as u32;
    Timeline {
        frame: Frame::new("Course of the run")
            .footnote(footnote)
            .no_data("no request ended")
            .size(1200, height),
        x_title: "time since the begin".to_owned(),
        panels,
        events: Vec::new(),
    }
}

type Parts = [(f64, f64, Part)];

/// A line with one point in the middle of each part that has a value.
fn line(
    name: &str,
    style: SeriesStyle,
    parts: &Parts,
    value: impl Fn(f64, f64, &Part) -> Option<f64>,
) -> TimelineSeries {
    let point = |(begin_s, end_s, part): &(f64, f64, Part)| {
        Some(TimelinePoint {
            time_s: f64::midpoint(*begin_s, *end_s),
            value: value(*begin_s, *end_s, part)?,
            band: None,
        })
    };
    TimelineSeries {
        name: name.to_owned(),
        style,
        points: parts.iter().filter_map(point).collect(),
    }
}

fn panel(title: &str, unit: Unit, series: Vec<TimelineSeries>) -> TimelinePanel {
    TimelinePanel {
        title: title.to_owned(),
        unit,
        log: false,
        series,
        limits: Vec::new(),
    }
}

fn rates(config: &Config, parts: &Parts) -> TimelinePanel {
    let mut series = vec![line(
        "answers",
        SeriesStyle::new(2),
        parts,
        |begin_s, end_s, part| {
            let answers = part.outcomes.sum_where(Outcome::is_answered);
            Some(answers as f64 / (end_s - begin_s))
        },
    )];
    if let Pace::Open { rate, .. } = &config.pace {
        let warm_up_s = config.warm_up.as_secs_f64();
        let due = |begin_s: f64, end_s: f64, _: &Part| {
            let requests = rate.area_to(warm_up_s + end_s) - rate.area_to(warm_up_s + begin_s);
            Some(requests / (end_s - begin_s))
        };
        series.push(line("requests due", SeriesStyle::new(6), parts, due));
    }
    panel("answers per second", Unit::PerSecond, series)
}

fn latencies(parts: &Parts) -> TimelinePanel {
    let of = |name: &str, index, percentile| {
        line(name, SeriesStyle::new(index), parts, |_, _, part| {
            part.percentile_ns(percentile).map(|ns| ns as f64)
        })
    };
    let series = vec![
        of("median latency", 0, 50.0),
        of("99th percentile", 5, 99.0),
    ];
    panel("latency of the answers", Unit::Nanoseconds, series)
}

/// A line for each outcome that occurred and was not wanted; what the end of the run cut off
/// has its one time and needs no line.
fn outcomes(summary: &Summary, parts: &Parts) -> TimelinePanel {
    // The colours of the other lines are left out.
    const COLOURS: [usize; 4] = [1, 3, 4, 7];
    let occurred = summary.outcomes.iter().filter(|(outcome, count)| {
        *count > 0 && !matches!(outcome, Outcome::Ok | Outcome::Aborted)
    });
    let series = occurred
        .enumerate()
        .map(|(index, (outcome, _))| {
            let colour = SeriesStyle::new(COLOURS[index % COLOURS.len()]).color;
            let style = SeriesStyle {
                color: colour,
                ..SeriesStyle::new(index)
            };
            line(outcome.meaning(), style, parts, |begin_s, end_s, part| {
                Some(part.outcomes.get(outcome) as f64 / (end_s - begin_s))
            })
        })
        .collect();
    panel("other outcomes per second", Unit::PerSecond, series)
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EngineKind, Row, Target};

    fn config() -> Config {
        Config::new(Target::parse("http://127.0.0.1/").expect("good"))
    }

    /// A second of 1000 requests, every tenth of them a time-out.
    fn run() -> (Summary, Course) {
        let mut summary = Summary::empty(0, EngineKind::Epoll);
        let mut course = Course::new();
        for i in 0..1000 {
            let outcome = match i % 10 {
                0 => Outcome::Timeout,
                _ => Outcome::Ok,
            };
            course.add(&Row {
                outcome,
                end_ns: i * 1_000_000,
                last_byte_ns: 5_000_000,
                ..Row::EMPTY
            });
            summary.outcomes.add(outcome, 1);
            if outcome == Outcome::Ok {
                summary.latencies.total.record(5_000_000 + i);
            }
        }
        summary.requests = 1000;
        summary.wall_ns = 1_000_000_000;
        (summary, course)
    }

    #[test]
    fn the_lines_tell_each_request_once() {
        let (summary, course) = run();
        let timeline = timeline(&config(), &summary, course);
        let sum = |panel: usize, series: usize| -> f64 {
            let points = &timeline.panels[panel].series[series].points;
            points.iter().map(|point| point.value * 0.1).sum()
        };
        assert_eq!(timeline.panels.len(), 3);
        assert!((sum(0, 0) - 900.0).abs() < 1e-6);
        assert_eq!(timeline.panels[2].series[0].name, "timed out");
        assert!((sum(2, 0) - 100.0).abs() < 1e-6);
    }

    #[test]
    fn percentiles_rise_to_the_longest() {
        let (summary, _) = run();
        let points = points(&summary.latencies.total);
        assert!(points.is_sorted_by(|a, b| a.quantile < b.quantile && a.value <= b.value));
        let last = points.last().expect("points");
        assert_eq!(last.value, summary.latencies.total.max_ns() as f64);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn every_run_can_be_drawn() {
        let (summary, course) = run();
        let mut open = config();
        open.pace = Pace::Open {
            arrivals: crate::Arrivals::Constant,
            rate: crate::Profile::constant(1000.0),
        };
        let nothing = Summary::empty(0, EngineKind::Epoll);
        for (config, summary, course) in [
            (&config(), &summary, course.clone()),
            (&open, &summary, course),
            (&open, &nothing, Course::new()),
        ] {
            let png = picture(config, summary, course).expect("drawn");
            assert!(png.starts_with(b"\x89PNG"));
        }
    }
}
