//! The last seconds of a run side by side: answers, latencies, failures.

use loadgen::live::{Model, Stretch, upper_ns};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::{Sparkline, Widget};

use super::glyphs::Glyphs;
use super::text::rough_duration;

/// Columns for the names of the lines.
pub(super) const GUTTER: u16 = 9;

/// From so many lines on there is room for the rate and for the time below.
const LINES_WITH_RATE_AND_TIME: u16 = 8;

/// Widest drawing of a second, in columns.
const SECOND_MAX_COLUMNS: u16 = 6;

/// Distance of the marks of time, in columns.
const MARK_COLUMNS: u16 = 12;

/// The colours of little, some, much, most.
const HEAT: [Color; 4] = [Color::Blue, Color::Cyan, Color::Green, Color::Yellow];

/// A latency heat map: a column a second, logarithmic rows, the shade for how many; below
/// it the seconds with failures; with enough lines the rate above and the time below.
pub(super) struct Chart<'a> {
    pub(super) model: &'a Model,
    pub(super) now_ns: u64,
    pub(super) glyphs: &'static Glyphs,
}

impl Widget for Chart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let columns = area.width.saturating_sub(GUTTER);
        let complete = self.model.complete(self.now_ns);
        if area.height < 3 || columns < 8 {
            return;
        }
        if complete.is_empty() {
            let text = "the first seconds of latencies are on their way";
            buf.set_stringn(area.x, area.y, text, area.width.into(), Style::new().dim());
            return;
        }
        let width = second_columns(columns, complete.end - complete.start);
        let first = complete
            .end
            .saturating_sub(u64::from(columns / width))
            .max(complete.start);
        let seconds: Vec<Stretch> = (first..complete.end)
            .map(|number| self.model.stretch(number..number + 1))
            .collect();
        let plot = Plot {
            x: area.x + GUTTER,
            second: width,
            seconds: &seconds,
            glyphs: self.glyphs,
        };
        let (mut top, mut bottom) = (area.y, area.bottom());
        if area.height >= LINES_WITH_RATE_AND_TIME {
            name(buf, area.x, top, "answers");
            plot.rate(top, buf);
            bottom -= 1;
            plot.time(bottom, first, area.right(), buf);
            top += 1;
        }
        bottom -= 1;
        name(buf, area.x, bottom, "failed");
        plot.failures(bottom, buf);
        let rows = bottom - top;
        if let Some(scale) = Scale::of(&seconds) {
            for row in 0..rows {
                let text = rough_duration(scale.upper_ns(row, rows));
                name(buf, area.x, bottom - 1 - row, &text);
            }
            plot.heat(&scale, top, rows, buf);
        }
    }
}

/// Columns for a second, so that those there are fill a part of the width.
fn second_columns(columns: u16, seconds: u64) -> u16 {
    (1..=SECOND_MAX_COLUMNS)
        .rev()
        .find(|width| seconds * u64::from(*width) * 2 <= u64::from(columns))
        .unwrap_or(1)
}

fn name(buf: &mut Buffer, x: u16, y: u16, text: &str) {
    let width = usize::from(GUTTER) - 1;
    buf.set_stringn(x, y, format!("{text:>width$}"), width, Style::new().dim());
}

/// The seconds, and where they are drawn.
struct Plot<'a> {
    x: u16,
    /// Columns of a second.
    second: u16,
    seconds: &'a [Stretch],
    glyphs: &'static Glyphs,
}

impl Plot<'_> {
    fn rate(&self, y: u16, buf: &mut Buffer) {
        let answered: Vec<u64> = self
            .seconds
            .iter()
            .flat_map(|second| vec![second.answered(); self.second.into()])
            .collect();
        let area = Rect::new(self.x, y, answered.len() as u16, 1);
        Sparkline::default()
            .data(&answered)
            .bar_set(self.glyphs.bars.clone())
            .style(Style::new().cyan())
            .render(area, buf);
    }

    fn heat(&self, scale: &Scale, top: u16, rows: u16, buf: &mut Buffer) {
        let columns: Vec<Vec<u64>> = self
            .seconds
            .iter()
            .map(|second| scale.rows(second, rows))
            .collect();
        let most = columns.iter().flatten().copied().max().unwrap_or(0);
        for (index, column) in columns.iter().enumerate() {
            for (row, count) in (0..rows).zip(column) {
                let shade = shade(*count, most);
                let style = match shade {
                    0 => Style::new(),
                    _ => Style::new().fg(HEAT[shade - 1]),
                };
                let y = top + rows - 1 - row;
                self.cell(index, y, self.glyphs.shades[shade], style, buf);
            }
        }
    }

    fn failures(&self, y: u16, buf: &mut Buffer) {
        for (index, second) in self.seconds.iter().enumerate() {
            let style = Style::new().red().bold();
            match second.failed() {
                0 => self.cell(index, y, ".", Style::new().dim(), buf),
                _ => self.cell(index, y, "!", style, buf),
            }
        }
    }

    /// Marks of the run's time.
    fn time(&self, y: u16, first: u64, end_x: u16, buf: &mut Buffer) {
        let distance = [1, 2, 5, 10, 20, 30, 60, 120]
            .into_iter()
            .find(|seconds| seconds * self.second >= MARK_COLUMNS)
            .unwrap_or(120);
        for index in 0..=self.seconds.len() as u16 {
            let number = first + u64::from(index);
            let x = self.x + index * self.second;
            let text = format!("{number} s");
            if number.is_multiple_of(distance.into()) && x + text.len() as u16 <= end_x {
                buf.set_string(x, y, text, Style::new().dim());
            }
        }
    }

    fn cell(&self, index: usize, y: u16, sign: &str, style: Style, buf: &mut Buffer) {
        let text = sign.repeat(self.second.into());
        buf.set_string(self.x + index as u16 * self.second, y, text, style);
    }
}

/// How dark so many of at most `most` are, from 0 (none) to 4, logarithmically: the few
/// slow ones must be seen beside the many quick ones.
fn shade(count: u64, most: u64) -> usize {
    if count == 0 {
        return 0;
    }
    let part = (count as f64).ln_1p() / (most as f64).ln_1p();
    ((part * 4.0).ceil() as usize).clamp(1, 4)
}

/// The range of latencies that is drawn.
#[derive(Debug, PartialEq)]
struct Scale {
    low_ns: f64,
    high_ns: f64,
}

impl Scale {
    /// From the shortest to the longest latency, rounded outwards to 1, 2, 5, 10 and so
    /// on, so that it seldom changes; `None` without any answer.
    fn of(seconds: &[Stretch]) -> Option<Self> {
        let bins = || {
            seconds
                .iter()
                .flat_map(|second| second.latencies.iter().enumerate())
                .filter(|(_, count)| **count > 0)
                .map(|(bin, _)| bin)
        };
        let (low, high) = (bins().min()?, bins().max()?);
        // The bin itself lies above the end of the one below.
        let low_ns = upper_ns(low.saturating_sub(1)) as f64;
        let steps = || (3..13).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power)));
        let low_ns = steps().take_while(|step| *step <= low_ns).last();
        let low_ns = low_ns.unwrap_or(500.0);
        let high_ns = steps().find(|step| *step >= upper_ns(high) as f64);
        Some(Self {
            low_ns,
            high_ns: high_ns.unwrap_or(1e13).max(low_ns * 2.0),
        })
    }

    /// The longest latency of a row, counted from below.
    fn upper_ns(&self, row: u16, rows: u16) -> u64 {
        let part = f64::from(row + 1) / f64::from(rows);
        (self.low_ns * (self.high_ns / self.low_ns).powf(part)).round() as u64
    }

    /// Counts by row, from below.
    fn rows(&self, second: &Stretch, rows: u16) -> Vec<u64> {
        let mut counts = vec![0; rows.into()];
        for (bin, count) in second.latencies.iter().enumerate() {
            if *count == 0 {
                continue;
            }
            let part =
                (upper_ns(bin) as f64 / self.low_ns).ln() / (self.high_ns / self.low_ns).ln();
            let row = (part * f64::from(rows)).ceil() as usize;
            counts[row.clamp(1, rows.into()) - 1] += count;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::live::{BINS, bin_of};

    fn second(latencies_ms: &[u64]) -> Stretch {
        let mut latencies = [0; BINS];
        for ms in latencies_ms {
            latencies[bin_of(ms * 1_000_000)] += 1;
        }
        Stretch {
            seconds: 1,
            outcomes: Default::default(),
            latencies,
        }
    }

    #[test]
    fn the_scale_holds_every_latency_and_is_round() {
        let scale = Scale::of(&[second(&[3, 30]), second(&[700])]).expect("answers");
        assert_eq!((scale.low_ns, scale.high_ns), (2e6, 1e9));
        assert_eq!(scale.upper_ns(8, 9), 1_000_000_000);
        assert_eq!(Scale::of(&[second(&[])]), None);
    }

    #[test]
    fn every_answer_is_in_one_row_and_higher_rows_are_slower() {
        let seconds = [second(&[3, 3, 30, 700])];
        let scale = Scale::of(&seconds).expect("answers");
        let rows = scale.rows(&seconds[0], 9);
        assert_eq!(rows, [2, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert!(scale.upper_ns(0, 9) >= 3_000_000 && scale.upper_ns(3, 9) >= 30_000_000);
        assert!(scale.upper_ns(2, 9) < 30_000_000);
    }

    #[test]
    fn a_single_one_among_many_is_seen() {
        assert_eq!(shade(0, 10_000), 0);
        assert_eq!(shade(1, 10_000), 1);
        assert_eq!(shade(100, 10_000), 3);
        assert_eq!(shade(10_000, 10_000), 4);
        assert_eq!(shade(1, 1), 4);
    }

    #[test]
    fn short_runs_are_drawn_wide_and_long_ones_narrow() {
        assert_eq!(second_columns(70, 1), 6);
        assert_eq!(second_columns(70, 10), 3);
        assert_eq!(second_columns(70, 18), 1);
        assert_eq!(second_columns(70, 120), 1);
    }
}
