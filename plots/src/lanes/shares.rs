//! What a column of pixels of a lane shows when more than one span falls into it: the share of
//! each category in the column's time, as a share of its height.

use super::window::Window;

/// Ends of parts are rounded to this, finer than a picture shows, so that equal columns compare
/// as equal and are drawn as one box.
const GRAIN: f64 = 0.125;

/// The categories in a column with their shares of its time, in the order of the categories. The
/// shares sum to 1, or to less where the lane has no span for part of the time.
pub(super) type Column = Vec<(usize, f64)>;

/// A coloured part of a column: category, lower and upper end in points over the bar's bottom.
pub(super) type Part = (usize, f64, f64);

/// Neighbouring columns that look alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The first column.
    pub start: usize,
    /// The column after the last.
    pub end: usize,
    /// From bottom to top.
    pub parts: Vec<Part>,
}

/// Divides the window into `count` columns and adds up what `spans`, each with its two ends and
/// its category, do in each.
pub(super) fn columns(
    spans: impl Iterator<Item = (f64, f64, usize)>,
    window: Window,
    count: usize,
) -> Vec<Column> {
    let mut columns = vec![Column::new(); count];
    let per_time = count as f64 / (window.high - window.low);
    for (from, to, category) in spans {
        let Some((from, to)) = window.clip(from, to) else {
            continue;
        };
        let (from, to) = ((from - window.low) * per_time, (to - window.low) * per_time);
        let first = (from as usize).min(count - 1);
        // A moment belongs to the column in which it begins.
        let after = (to.ceil() as usize).clamp(first + 1, count);
        for (i, column) in columns[first..after].iter_mut().enumerate() {
            let start = (first + i) as f64;
            let time = (to.min(start + 1.0) - from.max(start)).max(0.0);
            match column.iter_mut().find(|(other, _)| *other == category) {
                Some((_, sum)) => *sum += time,
                None => column.push((category, time)),
            }
        }
    }
    for column in &mut columns {
        let total: f64 = column.iter().map(|(_, time)| time).sum();
        column.sort_unstable_by_key(|(category, _)| *category);
        for (_, time) in column {
            *time /= total.max(1.0);
        }
    }
    columns
}

/// Stacks the categories of a column in a bar of this height. Each is at least `least` high, at
/// the cost first of the bare part and then of the larger ones.
fn stack(column: &Column, height: f64, least: f64) -> Vec<Part> {
    let least = least.min(height / column.len().max(1) as f64);
    let raised: Vec<f64> = column
        .iter()
        .map(|(_, share)| (share * height).max(least))
        .collect();
    let excess: f64 = raised.iter().map(|part| part - least).sum();
    let too_much = (raised.iter().sum::<f64>() - height).max(0.0);
    let kept = if excess > 0.0 {
        1.0 - too_much / excess
    } else {
        1.0
    };
    let round = |height: f64| (height / GRAIN).round() * GRAIN;
    let mut top = 0.0;
    column
        .iter()
        .zip(&raised)
        .map(|((category, _), part)| {
            let bottom = top;
            top += least + (part - least) * kept;
            (*category, round(bottom), round(top))
        })
        .collect()
}

/// Joins neighbouring columns that look alike in a bar of this height; bare ones are left out.
pub(super) fn runs(columns: &[Column], height: f64, least: f64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let parts = stack(column, height, least);
        match runs.last_mut() {
            Some(run) if run.end == i && run.parts == parts => run.end += 1,
            _ if parts.is_empty() => {}
            _ => runs.push(Run {
                start: i,
                end: i + 1,
                parts,
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        low: 100.0,
        high: 110.0,
    };

    /// Ten columns, one unit of time each.
    fn of(spans: &[(f64, f64, usize)]) -> Vec<Column> {
        columns(spans.iter().copied(), WINDOW, 10)
    }

    fn sum(column: &Column) -> f64 {
        column.iter().map(|(_, share)| share).sum()
    }

    #[test]
    fn a_span_fills_its_columns_and_shares_those_it_ends_in() {
        let columns = of(&[(101.0, 103.25, 0), (103.25, 104.0, 1)]);
        assert!(columns[0].is_empty());
        assert_eq!(columns[1], [(0, 1.0)]);
        assert_eq!(columns[2], [(0, 1.0)]);
        assert_eq!(columns[3], [(0, 0.25), (1, 0.75)]);
        assert!(columns[4].is_empty());
    }

    #[test]
    fn the_shares_of_a_thousand_spans_in_a_column_sum_to_the_column() {
        let spans: Vec<_> = (0..10_000)
            .map(|i| {
                let from = 100.0 + f64::from(i) / 1000.0;
                // 60 %, 30 % and 10 % of the time.
                (
                    from,
                    from + 1e-3,
                    [0, 0, 0, 0, 0, 0, 1, 1, 1, 2][i as usize % 10],
                )
            })
            .collect();
        for column in of(&spans) {
            assert!((sum(&column) - 1.0).abs() < 1e-9, "{column:?}");
            for ((category, share), expected) in column.iter().zip([0.6, 0.3, 0.1]) {
                assert!((share - expected).abs() < 1e-6, "{category}: {share}");
            }
        }
    }

    #[test]
    fn the_order_of_the_spans_does_not_matter() {
        let spans = [(100.0, 100.5, 2), (100.5, 100.75, 0), (100.75, 101.0, 1)];
        let turned: Vec<_> = spans.into_iter().rev().collect();
        assert_eq!(of(&spans), of(&turned));
        assert_eq!(of(&spans)[0], [(0, 0.25), (1, 0.25), (2, 0.5)]);
    }

    #[test]
    fn spans_outside_the_window_count_only_with_what_is_inside() {
        let columns = of(&[(0.0, 100.5, 0), (109.75, 1e9, 1), (90.0, 100.0, 2)]);
        assert_eq!(columns[0], [(0, 0.5)]);
        assert_eq!(columns[9], [(1, 0.25)]);
        assert!(columns[1..9].iter().all(Column::is_empty));
    }

    #[test]
    fn overlapping_spans_share_the_column() {
        let columns = of(&[(100.0, 102.0, 0), (101.0, 102.0, 1)]);
        assert_eq!(columns[1], [(0, 0.5), (1, 0.5)]);
    }

    #[test]
    fn a_moment_is_in_the_column_in_which_it_begins_also_at_the_end_of_the_window() {
        let columns = of(&[(105.0, 105.0, 0), (110.0, 110.0, 1)]);
        assert_eq!(columns[5], [(0, 0.0)]);
        assert!(columns[4].is_empty());
        assert_eq!(columns[9], [(1, 0.0)]);
    }

    #[test]
    fn a_rare_category_stays_visible_and_the_column_stays_full() {
        let parts = stack(&vec![(0, 0.999), (3, 0.001)], 16.0, 1.0);
        assert_eq!(parts, [(0, 0.0, 15.0), (3, 15.0, 16.0)]);
        // A bare column gives of its bare part.
        let parts = stack(&vec![(1, 0.0)], 16.0, 1.0);
        assert_eq!(parts, [(1, 0.0, 1.0)]);
        let parts = stack(&vec![(0, 0.5), (1, 0.25)], 16.0, 1.0);
        assert_eq!(parts, [(0, 0.0, 8.0), (1, 8.0, 12.0)]);
    }

    #[test]
    fn more_categories_than_points_of_height_still_fit_the_bar() {
        let column: Column = (0..40).map(|i| (i, 1.0 / 40.0)).collect();
        let parts = stack(&column, 10.0, 1.0);
        assert_eq!(parts[39].2, 10.0);
        assert!(parts.iter().all(|(_, bottom, top)| top > bottom));
    }

    #[test]
    fn columns_that_look_alike_are_one_run() {
        let runs = runs(&of(&[(100.0, 103.0, 0), (103.0, 104.5, 1)]), 16.0, 1.0);
        let ends: Vec<_> = runs.iter().map(|run| (run.start, run.end)).collect();
        assert_eq!(ends, [(0, 3), (3, 4), (4, 5)]);
        assert_eq!(runs[2].parts, [(1, 0.0, 8.0)]);
    }
}
