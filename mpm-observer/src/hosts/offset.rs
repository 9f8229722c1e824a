//! The offset between two clocks from requests that both sides saw.
//!
//! Let the client's clock be ahead by `o`. A request is sent before it arrives, so
//! `sent - arrival <= o`. The first byte of the answer is sent after a task has begun to read the
//! request, so `o <= first byte - pick-up`. (That a send has *returned* says nothing: the client
//! may have the bytes before. Of an answer that was sent in several pieces the last one was sent
//! after the first had returned, which is a second upper end.) Each request gives an interval, and
//! the offset lies in all of them.
//!
//! Two clocks drift apart. Over a piece of time the offset is taken to be a line, which must pass
//! above all lower ends and below all upper ones; the lines that do give the least and the greatest
//! offset at the piece's two ends. If there is no such line the piece is halved.

use super::NoOffset;
use crate::recording::{ClientRow, ClockOffset, KernelRow, OffsetAt};

/// Two clocks run apart by at most this share: the kernel slews each by 0.05 % at most.
const MOST_DRIFT_NS_PER_S: f64 = 1e6;
/// A piece shorter than this is not halved, nor is one of fewer requests.
const LEAST_PIECE_S: f64 = 1.0;
const LEAST_SIGHTS: usize = 32;
/// Steps of the searches; each makes the range a third smaller.
const STEPS: u32 = 120;
/// What is lost by rounding, ns.
const ROUNDING_NS: f64 = 1.0;

/// What one request tells of the offset: it lies from `low_ns` to `high_ns`. Times are of the
/// client's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// When the lower end holds.
    pub low_at_ns: u64,
    /// The least offset.
    pub low_ns: i64,
    /// When the upper end holds.
    pub high_at_ns: u64,
    /// The greatest offset.
    pub high_ns: i64,
}

impl Sight {
    /// What an answered request tells.
    #[must_use]
    pub fn of(client: &ClientRow, kernel: &KernelRow) -> Self {
        let apart = |client_ns: u64, server_ns: u64| {
            client_ns
                .cast_signed()
                .wrapping_sub(server_ns.cast_signed())
        };
        let first = apart(client.first_byte_ns, kernel.pickup_ns);
        let last = apart(client.last_byte_ns, kernel.first_send_ns);
        let (high_at_ns, high_ns) = match kernel.sends > 1 && last < first {
            true => (client.last_byte_ns, last),
            false => (client.first_byte_ns, first),
        };
        Self {
            low_at_ns: client.sent_ns,
            low_ns: apart(client.sent_ns, kernel.arrival_ns),
            high_at_ns,
            high_ns,
        }
    }
}

/// Finds the offset. Requests that contradict the majority are left out and counted.
///
/// # Errors
/// Without requests, or when no offset fits most of them.
pub fn estimate(mut sights: Vec<Sight>) -> Result<ClockOffset, NoOffset> {
    sights.sort_by_key(|sight| sight.low_at_ns);
    let pairs = sights.len() as u64;
    let Some(first) = sights.first() else {
        return Err(NoOffset::NoPairs);
    };
    // Numbers stay small, so that a double holds them exactly.
    let base = Base {
        at_ns: first.low_at_ns,
        offset_ns: first.low_ns,
    };
    let mut pieces: Vec<Piece> = sights.iter().map(|sight| base.piece(sight)).collect();
    let mut found = Found::default();
    pieces_of(&mut pieces, &mut found);
    let fitting = pairs - found.contradicting;
    if 2 * fitting <= pairs {
        return Err(NoOffset::Contradiction { pairs, fitting });
    }
    let at = found.at.into_iter().map(|at| base.point(at)).collect();
    Ok(ClockOffset {
        at,
        pairs: fitting,
        contradicting: found.contradicting,
    })
}

/// What numbers are counted from.
struct Base {
    at_ns: u64,
    offset_ns: i64,
}

/// A sight in seconds and nanoseconds from the base.
#[derive(Clone, Copy)]
struct Piece {
    low: (f64, f64),
    high: (f64, f64),
}

/// The least and the greatest offset at a moment, from the base.
#[derive(Clone, Copy)]
struct At {
    t_s: f64,
    low_ns: f64,
    high_ns: f64,
}

#[derive(Default)]
struct Found {
    at: Vec<At>,
    contradicting: u64,
}

impl Base {
    fn piece(&self, sight: &Sight) -> Piece {
        let t_s =
            |at_ns: u64| at_ns.cast_signed().wrapping_sub(self.at_ns.cast_signed()) as f64 / 1e9;
        let o_ns = |offset_ns: i64| offset_ns.wrapping_sub(self.offset_ns) as f64;
        Piece {
            low: (t_s(sight.low_at_ns), o_ns(sight.low_ns)),
            high: (t_s(sight.high_at_ns), o_ns(sight.high_ns)),
        }
    }

    fn point(&self, at: At) -> OffsetAt {
        let middle = f64::midpoint(at.low_ns, at.high_ns);
        let half = (at.high_ns - at.low_ns) / 2.0 + ROUNDING_NS;
        OffsetAt {
            client_ns: self.at_ns.saturating_add_signed((at.t_s * 1e9) as i64),
            offset_ns: self.offset_ns.saturating_add(middle.round() as i64),
            bound_ns: half.ceil().max(0.0) as u64,
        }
    }
}

/// Finds the offset over these pieces, which are sorted by time, or over their halves.
fn pieces_of(pieces: &mut [Piece], found: &mut Found) {
    let Some((first, last)) = pieces.first().zip(pieces.last()) else {
        return;
    };
    let (begin_s, end_s) = (first.low.0, last.high.0.max(last.low.0));
    let length_s = (end_s - begin_s).max(0.0);
    // What does not even fit when the clocks drift as much as they can is wrong.
    let slack_ns = MOST_DRIFT_NS_PER_S * length_s;
    let fitting = majority(pieces, slack_ns);
    if let Some(lines) = Lines::through(&fitting) {
        found.contradicting += (pieces.len() - fitting.len()) as u64;
        for t_s in [begin_s, end_s] {
            found.at.push(lines.at(t_s));
        }
        return;
    }
    if length_s > LEAST_PIECE_S && pieces.len() > LEAST_SIGHTS {
        let middle_s = f64::midpoint(begin_s, end_s);
        let half = pieces
            .partition_point(|piece| piece.low.0 < middle_s)
            .clamp(1, pieces.len() - 1);
        let (before, after) = pieces.split_at_mut(half);
        pieces_of(before, found);
        pieces_of(after, found);
        return;
    }
    // So short a piece counts as one moment, with the drift that may be in it.
    let fitting = majority(pieces, 0.0);
    found.contradicting += (pieces.len() - fitting.len()) as u64;
    let low_ns = fitting
        .iter()
        .map(|piece| piece.low.1)
        .fold(f64::MIN, f64::max);
    let high_ns = fitting
        .iter()
        .map(|piece| piece.high.1)
        .fold(f64::MAX, f64::min);
    found.at.push(At {
        t_s: f64::midpoint(begin_s, end_s),
        low_ns: low_ns - slack_ns,
        high_ns: high_ns + slack_ns,
    });
}

/// Those that agree on one offset, when each end may be so much further out.
fn majority(pieces: &[Piece], slack_ns: f64) -> Vec<Piece> {
    let possible = |piece: &&Piece| piece.low.1 <= piece.high.1 + 2.0 * slack_ns;
    let mut ends: Vec<(f64, i32)> = Vec::with_capacity(2 * pieces.len());
    for piece in pieces.iter().filter(possible) {
        ends.push((piece.low.1 - slack_ns, 1));
        ends.push((piece.high.1 + slack_ns, -1));
    }
    // Of equal places the beginnings come first: an interval holds its ends.
    ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let (mut depth, mut most, mut at) = (0, 0, 0.0);
    for (place, step) in ends {
        depth += step;
        if depth > most {
            (most, at) = (depth, place);
        }
    }
    let holds = |piece: &&Piece| (piece.low.1 - slack_ns..=piece.high.1 + slack_ns).contains(&at);
    pieces
        .iter()
        .filter(possible)
        .filter(holds)
        .copied()
        .collect()
}

/// All lines above the lower ends and below the upper ones.
struct Lines {
    lows: Vec<(f64, f64)>,
    highs: Vec<(f64, f64)>,
    /// Slopes of these lines.
    slopes: (f64, f64),
}

impl Lines {
    /// `None` if there are none.
    fn through(pieces: &[Piece]) -> Option<Self> {
        let mut lows: Vec<(f64, f64)> = pieces.iter().map(|piece| piece.low).collect();
        let mut highs: Vec<(f64, f64)> = pieces.iter().map(|piece| piece.high).collect();
        keep_hull(&mut lows, 1.0);
        keep_hull(&mut highs, -1.0);
        let mut lines = Self {
            lows,
            highs,
            slopes: (-MOST_DRIFT_NS_PER_S, MOST_DRIFT_NS_PER_S),
        };
        if lines.lows.is_empty() {
            return None;
        }
        let room = |slope: f64| lines.highest(slope) - lines.lowest(slope);
        let best = greatest(room, lines.slopes);
        if room(best) < -ROUNDING_NS {
            return None;
        }
        // The room is concave in the slope: it is left on both sides of the best one.
        let edge = |mut outside: f64| {
            if room(outside) >= -ROUNDING_NS {
                return outside;
            }
            let mut inside = best;
            for _ in 0..STEPS {
                let middle = f64::midpoint(inside, outside);
                match room(middle) >= -ROUNDING_NS {
                    true => inside = middle,
                    false => outside = middle,
                }
            }
            // From outside, so that no line is lost.
            outside
        };
        let slopes = (edge(lines.slopes.0), edge(lines.slopes.1));
        lines.slopes = slopes;
        Some(lines)
    }

    /// Where the lowest line of a slope is at 0.
    fn lowest(&self, slope: f64) -> f64 {
        let ends = self.lows.iter().map(|(t_s, o_ns)| o_ns - slope * t_s);
        ends.fold(f64::MIN, f64::max)
    }

    /// Where the highest line of a slope is at 0.
    fn highest(&self, slope: f64) -> f64 {
        let ends = self.highs.iter().map(|(t_s, o_ns)| o_ns - slope * t_s);
        ends.fold(f64::MAX, f64::min)
    }

    /// Their lowest and highest place at a time.
    fn at(&self, t_s: f64) -> At {
        let high = |slope: f64| self.highest(slope) + slope * t_s;
        let low = |slope: f64| -(self.lowest(slope) + slope * t_s);
        let high_ns = high(greatest(high, self.slopes));
        let low_ns = -low(greatest(low, self.slopes));
        At {
            t_s,
            low_ns: low_ns.min(high_ns),
            high_ns: low_ns.max(high_ns),
        }
    }
}

/// Where a concave function is greatest.
fn greatest(of: impl Fn(f64) -> f64, (mut from, mut to): (f64, f64)) -> f64 {
    for _ in 0..STEPS {
        let third = (to - from) / 3.0;
        let (left, right) = (from + third, to - third);
        if of(left) < of(right) {
            from = left;
        } else {
            to = right;
        }
    }
    f64::midpoint(from, to)
}

/// Leaves the points that a line above all of them can touch (`side` 1), or below (-1).
fn keep_hull(points: &mut Vec<(f64, f64)>, side: f64) {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for &point in points.iter() {
        while let [.., before, last] = hull.as_slice() {
            let turn = (last.0 - before.0) * (point.1 - before.1)
                - (last.1 - before.1) * (point.0 - before.0);
            if side * turn < 0.0 {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    *points = hull;
}

#[cfg(test)]
#[path = "offset_tests.rs"]
mod tests;
