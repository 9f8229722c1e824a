//! What the slots do.

use super::{
    Exposition, Family,
    family::{as_f64, label, seconds},
};
use crate::live::{Look, SlotState};

const SOURCE: &str = "looks";
/// A look that comes later than this after the one before says nothing of the time between.
const LONGEST_STEP_NS: u64 = 10_000_000_000;

static SLOTS: Family = Family::gauge(
    "httpd_slots",
    "Slots by what they do; their sum is the slots that exist",
    SOURCE,
)
.labels(&[label(
    "state",
    "on_cpu, run_queue, lock, disk, reading_client, sending, keep_alive, closing, other, idle",
)]);
static SLOT_SECONDS: Family = Family::counter(
    "httpd_slot_seconds_total",
    "Time of all slots by what they did, from the looks once a second: its rate is the mean number of slots",
    SOURCE,
)
.labels(&[label("state", "as above")]);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[&SLOTS, &SLOT_SECONDS];

/// The slots at the last look, and all their time.
#[derive(Debug, Default)]
pub(super) struct Slots {
    now: [u64; SlotState::ALL.len()],
    time_ns: [u64; SlotState::ALL.len()],
    looked_ns: Option<u64>,
}

impl Slots {
    /// Takes a look. The time since the one before counts to what the slots did then.
    pub(super) fn look(&mut self, look: &Look) {
        if let Some(last_ns) = self.looked_ns {
            let step_ns = look.at_ns.saturating_sub(last_ns).min(LONGEST_STEP_NS);
            for (time_ns, slots) in self.time_ns.iter_mut().zip(self.now) {
                *time_ns += slots * step_ns;
            }
        }
        self.looked_ns = Some(look.at_ns);
        self.now = Default::default();
        for state in look.tasks.iter().filter_map(|task| task.slot) {
            self.now[state as usize] += 1;
        }
    }

    /// There is no server any more.
    pub(super) fn end(&mut self) {
        self.now = Default::default();
        self.looked_ns = None;
    }

    pub(super) fn write(&self, to: &mut Exposition) {
        for (state, slots) in SlotState::ALL.iter().zip(self.now) {
            to.labelled(&SLOTS, [state.name().into()], as_f64(slots));
        }
        for (state, time_ns) in SlotState::ALL.iter().zip(self.time_ns) {
            to.labelled(&SLOT_SECONDS, [state.name().into()], seconds(time_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{task, written};

    fn look(at_s: u64, slots: &[Option<SlotState>]) -> Look {
        let tasks = slots.iter().enumerate().map(|(index, &slot)| {
            let mut task = task(10 + index as u32);
            task.slot = slot;
            task
        });
        Look {
            at_ns: at_s * 1_000_000_000,
            tasks: tasks.collect(),
            ..Look::default()
        }
    }

    #[test]
    fn the_time_between_two_looks_counts_to_what_the_slots_did_at_the_first() {
        let mut slots = Slots::default();
        let (idle, busy) = (Some(SlotState::Idle), Some(SlotState::OnCpu));
        slots.look(&look(1, &[idle, idle, busy, None]));
        slots.look(&look(3, &[idle, busy, busy, None]));
        let exposition = written(|to| slots.write(to));
        assert_eq!(exposition.get("httpd_slots", &["on_cpu"]), Some(2.0));
        assert_eq!(exposition.get("httpd_slots", &["idle"]), Some(1.0));
        let time = |state| exposition.get("httpd_slot_seconds_total", &[state]);
        assert_eq!((time("idle"), time("on_cpu")), (Some(4.0), Some(2.0)));
        assert_eq!(time("sending"), Some(0.0));
    }

    #[test]
    fn the_time_without_a_server_counts_to_nothing() {
        let mut slots = Slots::default();
        slots.look(&look(1, &[Some(SlotState::Idle)]));
        slots.end();
        slots.look(&look(9, &[Some(SlotState::Idle)]));
        let exposition = written(|to| slots.write(to));
        assert_eq!(
            exposition.get("httpd_slot_seconds_total", &["idle"]),
            Some(0.0)
        );
    }

    #[test]
    fn every_state_is_documented() {
        let names: Vec<&str> = SlotState::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(SLOTS.labels[0].values, names.join(", "));
        for (index, state) in SlotState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, index);
        }
    }
}
