//! The search for the least value that suffices, apart from how a value is tried.
//!
//! What is looked for is the border between values at which some trials fail and values at which
//! none does. A trial may fail by chance, so a value counts as *safe* only after several trials
//! without a failure, and as *failing* after a single one. The search assumes that more never
//! hurts: every value below a failing one is taken to fail too, so that the safe values that count
//! are those above the highest failing one. That assumption is put to the test at values above the
//! border; where a higher value fails, the border moves above it and the failure is kept as a
//! [`Reversal`].
//!
//! [`Search::next`] follows from the outcomes so far alone:
//!
//! 1. a value above all failing ones gets its trials until it is safe or fails;
//! 2. without a safe value the next one is four times the highest failing one, without a failing
//!    value a quarter of the lowest safe one;
//! 3. the highest failing value gets all its trials too, so that its share of failures is known;
//! 4. the interval between both is cut at its geometric mean until it is as small as wanted;
//! 5. the lowest safe value gets as many trials again;
//! 6. values in wide gaps between the safe ones near the border are tried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The values that may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least, a multiple of `step`.
    pub lowest: u64,
    /// The greatest, a multiple of `step`.
    pub highest: u64,
    /// Where to begin.
    pub start: u64,
    /// All values are multiples of it.
    pub step: u64,
}

/// How thoroughly to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Trials without a failure that make a value safe.
    pub repetitions: u32,
    /// How far the lowest safe value may be above the highest failing one: 0.02 for 2 %. Never
    /// finer than the range's step.
    pub precision: f64,
    /// When to give up.
    pub most_trials: u32,
}

impl Effort {
    /// An effort that gives up after 40 times as many trials as a value gets: about three times
    /// what a search takes when no failure is a matter of chance.
    #[must_use]
    pub fn new(repetitions: u32, precision: f64) -> Self {
        Self {
            repetitions,
            precision,
            most_trials: repetitions.saturating_mul(40),
        }
    }
}

/// The trials of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many were made.
    pub trials: u32,
    /// How many of them failed.
    pub failures: u32,
}

/// A value that failed although a lower one had been safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// The lower value, safe until then.
    pub safe: u64,
    /// The higher one, which failed.
    pub failing: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Border {
    /// Both sides of the border, as near to each other as wanted.
    Found {
        /// The lowest safe value above all failing ones.
        smallest_served: u64,
        /// The highest value at which a trial failed.
        highest_failing: u64,
    },
    /// Not even the least value fails.
    NeverFails {
        /// That value.
        lowest_tried: u64,
    },
    /// Not even the greatest value is safe.
    AlwaysFails {
        /// That value.
        highest_tried: u64,
    },
    /// The search was ended before; what is known of both sides.
    Unfinished {
        /// The lowest safe value above all failing ones.
        smallest_served: Option<u64>,
        /// The highest value at which a trial failed.
        highest_failing: Option<u64>,
    },
}

impl Border {
    /// The lowest value that was found to serve.
    #[must_use]
    pub const fn smallest_served(self) -> Option<u64> {
        match self {
            Self::Found {
                smallest_served, ..
            } => Some(smallest_served),
            Self::NeverFails { lowest_tried } => Some(lowest_tried),
            Self::AlwaysFails { .. } => None,
            Self::Unfinished {
                smallest_served, ..
            } => smallest_served,
        }
    }

    /// The highest value at which a trial failed.
    #[must_use]
    pub const fn highest_failing(self) -> Option<u64> {
        match self {
            Self::Found {
                highest_failing, ..
            } => Some(highest_failing),
            Self::NeverFails { .. } => None,
            Self::AlwaysFails { highest_tried } => Some(highest_tried),
            Self::Unfinished {
                highest_failing, ..
            } => highest_failing,
        }
    }
}

/// By what factor the value changes while one side of the border is not known.
const STRIDE: u64 = 4;
/// Gaps between safe values are looked into if they begin below this multiple of the border …
const GUARDED: f64 = 2.0;
/// … and their ends are further apart than by this factor.
const WIDEST_GAP: f64 = 1.6;

/// The search for one MPM's border.
#[derive(Clone, Debug)]
pub struct Search {
    range: Range,
    effort: Effort,
    tallies: BTreeMap<u64, Tally>,
    reversals: Vec<Reversal>,
}

impl Search {
    /// A search that has tried nothing.
    #[must_use]
    pub const fn new(range: Range, effort: Effort) -> Self {
        Self {
            range,
            effort,
            tallies: BTreeMap::new(),
            reversals: Vec::new(),
        }
    }

    /// The value to try next; `None` when the search is over.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        if self.trials() >= self.effort.most_trials {
            return None;
        }
        let failing = self.highest_failing();
        if let Some(open) = self.open() {
            return Some(open);
        }
        match (failing, self.smallest_served()) {
            (None, None) => Some(self.range.start),
            (Some(failing), None) => {
                let higher = failing.saturating_mul(STRIDE).min(self.range.highest);
                (higher > failing).then_some(higher)
            }
            (None, Some(safe)) => {
                let lower = self.rounded(safe / STRIDE).max(self.range.lowest);
                (lower < safe)
                    .then_some(lower)
                    .or_else(|| self.unconfirmed(safe))
            }
            (Some(failing), Some(safe)) => self
                .incomplete(failing)
                .or_else(|| self.between(failing, safe))
                .or_else(|| self.unconfirmed(safe))
                .or_else(|| self.gap_above(safe)),
        }
    }

    /// Notes the outcome of a trial.
    pub fn note(&mut self, value: u64, failed: bool) {
        if failed && let Some(safe) = self.smallest_served().filter(|safe| *safe < value) {
            let reversal = Reversal {
                safe,
                failing: value,
            };
            self.reversals.push(reversal);
        }
        let tally = self.tallies.entry(value).or_default();
        tally.trials += 1;
        tally.failures += u32::from(failed);
    }

    /// What is known now.
    #[must_use]
    pub fn border(&self) -> Border {
        let (highest_failing, smallest_served) = (self.highest_failing(), self.smallest_served());
        let over = self.next().is_none() && self.trials() < self.effort.most_trials;
        match (highest_failing, smallest_served) {
            (Some(highest_failing), Some(smallest_served)) if over => Border::Found {
                smallest_served,
                highest_failing,
            },
            (None, Some(lowest_tried)) if over => Border::NeverFails { lowest_tried },
            (Some(highest_tried), None) if over => Border::AlwaysFails { highest_tried },
            _ => Border::Unfinished {
                smallest_served,
                highest_failing,
            },
        }
    }

    /// All values that were tried, from the lowest.
    #[must_use]
    pub const fn tallies(&self) -> &BTreeMap<u64, Tally> {
        &self.tallies
    }

    /// The failures that contradict the assumption that more never hurts.
    #[must_use]
    pub fn reversals(&self) -> &[Reversal] {
        &self.reversals
    }

    /// How many trials were made.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.tallies.values().map(|tally| tally.trials).sum()
    }

    /// About how many trials are still to come.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let Some(next) = self.next() else { return 0 };
        let each = self.effort.repetitions;
        let begun = self.tallies.get(&next).copied().unwrap_or_default();
        let cuts_of = |ratio: f64| {
            let steps = ratio.ln() / self.effort.precision.max(1e-4).ln_1p();
            steps.max(1.0).log2().ceil() as u32
        };
        let border = match (self.highest_failing(), self.smallest_served()) {
            (Some(failing), Some(safe)) => {
                let finest = (safe - failing) as f64 / self.range.step as f64;
                let cuts = cuts_of(safe as f64 / failing as f64);
                cuts.min(finest.max(1.0).log2().ceil() as u32)
            }
            // Two strides to the other side.
            _ => 2 + cuts_of(STRIDE as f64),
        };
        let confirmed = self
            .smallest_served()
            .is_some_and(|safe| self.unconfirmed(safe).is_none());
        let guards = if confirmed { 1 } else { 3 };
        let left = each * (border + guards);
        let open = each.saturating_sub(begun.trials % each.max(1));
        (left + open)
            .min(self.effort.most_trials - self.trials())
            .max(1)
    }

    /// The lowest and highest of the values at which some trials failed and others did not.
    #[must_use]
    pub fn mixed(&self) -> Option<(u64, u64)> {
        let mut mixed = self
            .tallies
            .iter()
            .filter(|(_, tally)| (1..tally.trials).contains(&tally.failures))
            .map(|(value, _)| *value);
        let first = mixed.next()?;
        Some((first, mixed.next_back().unwrap_or(first)))
    }

    fn highest_failing(&self) -> Option<u64> {
        let mut values = self.tallies.iter().rev();
        values
            .find(|(_, tally)| tally.failures > 0)
            .map(|(value, _)| *value)
    }

    /// The values above all failing ones.
    fn above_failing(&self) -> impl Iterator<Item = (u64, Tally)> + '_ {
        let from = self.highest_failing().map_or(0, |failing| failing + 1);
        self.tallies
            .range(from..)
            .map(|(value, tally)| (*value, *tally))
    }

    /// The safe values, from the lowest.
    fn safe(&self) -> impl Iterator<Item = u64> + '_ {
        self.above_failing()
            .filter(|(_, tally)| tally.trials >= self.effort.repetitions)
            .map(|(value, _)| value)
    }

    fn smallest_served(&self) -> Option<u64> {
        self.safe().next()
    }

    /// A value that may become safe.
    fn open(&self) -> Option<u64> {
        self.above_failing()
            .find(|(_, tally)| tally.trials < self.effort.repetitions)
            .map(|(value, _)| value)
    }

    fn incomplete(&self, failing: u64) -> Option<u64> {
        (self.tallies.get(&failing)?.trials < self.effort.repetitions).then_some(failing)
    }

    /// The value that cuts the interval, unless it is small enough.
    fn between(&self, failing: u64, safe: u64) -> Option<u64> {
        let step = self.range.step;
        let near = safe as f64 <= failing as f64 * (1.0 + self.effort.precision);
        if near || safe - failing <= step {
            return None;
        }
        let middle = (failing as f64 * safe as f64).sqrt() as u64;
        Some(self.rounded(middle).clamp(failing + step, safe - step))
    }

    fn unconfirmed(&self, safe: u64) -> Option<u64> {
        (self.tallies.get(&safe)?.trials < 2 * self.effort.repetitions).then_some(safe)
    }

    /// A value in the widest of the gaps between the safe values near the border, if one is wide.
    fn gap_above(&self, safe: u64) -> Option<u64> {
        let values: Vec<u64> = self.safe().collect();
        let ratio = |pair: &[u64]| pair[1] as f64 / pair[0] as f64;
        let widest = values
            .windows(2)
            .filter(|pair| pair[0] as f64 <= GUARDED * safe as f64)
            .max_by(|a, b| ratio(a).total_cmp(&ratio(b)))?;
        let &[low, high] = widest else { return None };
        if ratio(widest) <= WIDEST_GAP {
            return None;
        }
        let middle = self.rounded((low as f64 * high as f64).sqrt() as u64);
        (low < middle && middle < high).then_some(middle)
    }

    fn rounded(&self, value: u64) -> u64 {
        value / self.range.step * self.range.step
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
