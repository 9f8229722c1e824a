//! The picture: the share of failing trials over the limit.

use plots::{CurveMark, CurvePoint, CurveSeries, Curves, Frame, Interval, SeriesStyle, Unit};

use super::found::{Found, Searched, Tried};
use super::kind::Kind;
use crate::scenario::Start;

/// Name of its file in the search's directory.
pub(super) const PICTURE_FILE: &str = "failure-share.png";

/// The curves of all MPMs.
pub(super) fn chart(found: &Found, kind: &'static Kind) -> Curves {
    let curve = |one: &Searched| {
        let point = |tried: &Tried| CurvePoint {
            x: kind.plain(tried.value),
            y: 100.0 * f64::from(tried.failures) / f64::from(tried.trials.max(1)),
            interval: Some(Interval {
                low: 100.0 * tried.low,
                high: 100.0 * tried.high,
            }),
        };
        let mark = one.border.smallest_served().map(|value| CurveMark {
            x: kind.plain(value),
            label: format!("{} {}", one.mpm, kind.read(value)),
        });
        CurveSeries {
            name: one.mpm.to_string(),
            style: SeriesStyle::new(one.mpm as usize),
            points: one.values.iter().map(point).collect(),
            mark,
        }
    };
    Curves {
        frame: Frame::new(format!("Share of trials that fail, by {}", kind.set_by))
            .subtitle(conditions(found))
            .footnote(format!(
                "{} trials, each on an httpd of its own. Dot: share of the trials of one value, \
                 side by side where MPMs share it; whisker: 95 % interval (Wilson). Dashed: the smallest value served without a \
                 failure in {} trials.",
                found.trials(),
                2 * found.repetitions
            ))
            .no_data("nothing was tried"),
        x_title: format!("limit: {}", kind.of_what.trim_start_matches("of ")),
        x_unit: kind.unit(),
        log: true,
        y_title: "share of failing trials".into(),
        y_unit: Unit::Percent,
        y_range: Some(Interval {
            low: 0.0,
            high: 100.0,
        }),
        steps: false,
        series: found.searches.iter().map(curve).collect(),
    }
}

/// The load and set-up in one line.
pub(super) fn conditions(found: &Found) -> String {
    let Some(plan) = found.searches.first().map(|one| &one.plan) else {
        return String::new();
    };
    let kept = if plan.load.keep_alive {
        "keep-alive"
    } else {
        "a connection per request"
    };
    format!(
        "{} slots · {} requests, {} at once, {kept} · measured from {}",
        plan.server.max_request_workers,
        plan.load.requests,
        plan.load.concurrency,
        match plan.server.start {
            Start::Cold => "httpd's first moment",
            Start::Warm => "when all slots have served",
        }
    )
}

#[cfg(test)]
mod tests {
    use plots::Chart;

    use super::*;
    use crate::limit::words::tests::found;

    #[test]
    fn the_curves_of_ordinary_searches_and_of_none_can_be_drawn() {
        let kind = Kind::named("rlimit-as").unwrap();
        let mut found = found("rlimit-as", [6000, 480_000, 500_000]);
        let chart_of_three = chart(&found, kind);
        chart_of_three.lay_out().unwrap();
        assert_eq!(chart_of_three.series.len(), 3);
        assert!(chart_of_three.series.iter().all(|s| s.mark.is_some()));
        found.searches.clear();
        chart(&found, kind).lay_out().unwrap();
    }
}
