//! What the figures of a table rest on: how many requests, how many of them were seen from both
//! sides, what was lost, how well their time adds up, and what watching cost.

use super::{
    figures::ScenarioFigures,
    text::{percent, plural, whole},
};
use crate::{correlate::Conservation, overhead::Overhead};

/// One sentence or two for a table of one scenario.
pub(super) fn of_scenario(figures: &ScenarioFigures, overhead: Option<&Overhead>) -> String {
    let keep_alive = figures
        .runs
        .first()
        .is_some_and(|run| run.plan.load.keep_alive);
    let cost = overhead.and_then(|overhead| overhead.line(keep_alive));
    sentence(&sum([figures]), &cost.into_iter().collect::<Vec<_>>())
}

/// The same for a table over all scenarios.
pub(super) fn of_all(scenarios: &[ScenarioFigures], overhead: Option<&Overhead>) -> String {
    let costs = overhead.map(Overhead::lines).unwrap_or_default();
    sentence(&sum(scenarios), &costs)
}

fn sum<'a>(scenarios: impl IntoIterator<Item = &'a ScenarioFigures>) -> Conservation {
    let mut sum = Conservation::default();
    for run in scenarios.into_iter().flat_map(|figures| &figures.runs) {
        sum.add(&run.conservation);
    }
    sum
}

fn sentence(of: &Conservation, costs: &[String]) -> String {
    let joined = of.joined_share().map_or_else(
        || "none joined".to_owned(),
        |share| format!("joined {}", percent(100.0 * share)),
    );
    let residual = match (of.residual(0.5), of.residual(0.99)) {
        (Some(median), Some(p99)) => format!(
            "residual of a request's time: median {}, p99 {}",
            percent(100.0 * median),
            percent(100.0 * p99)
        ),
        _ => "no request's time to add up".to_owned(),
    };
    let touched = match of.touched {
        0 => String::new(),
        touched => format!(
            " ({} touched by a loss and left out)",
            plural(touched, "request")
        ),
    };
    let costs = if costs.is_empty() {
        "observer's cost: not measured".to_owned()
    } else {
        costs.join("; ")
    };
    format!(
        "n = {} successful requests, {joined}, {} lost{touched}; {residual}; {costs}.",
        whole(of.ok),
        plural(of.lost, "event"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_said_and_nothing_is_rounded_to_all_or_nothing() {
        let mut of = Conservation {
            ok: 20_000,
            joined: 19_999,
            lost: 3,
            touched: 2,
            residuals: vec![0.0, 0.000_01, 0.2],
            ..Conservation::default()
        };
        assert_eq!(
            sentence(&of, &["observer's cost, keep-alive: x".into()]),
            "n = 20,000 successful requests, joined 99.99 %, 3 events lost (2 requests touched by \
             a loss and left out); residual of a request's time: median < 0.01 %, p99 20.00 %; \
             observer's cost, keep-alive: x."
        );
        of = Conservation::default();
        assert_eq!(
            sentence(&of, &[]),
            "n = 0 successful requests, none joined, 0 events lost; no request's time to add up; \
             observer's cost: not measured."
        );
    }
}
