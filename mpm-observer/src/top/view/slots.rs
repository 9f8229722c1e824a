//! The slots: a bar with a sign for each, and how many do what.

use ratatui::{
    style::Stylize,
    text::{Line, Span},
};

use super::look::{Look, sign, words};
use crate::{
    live::SlotState,
    top::{picture::SlotsPart, words::figure},
};

/// Room before the bar: that of the labels of the other lines.
const LABEL: &str = "slots         ";

/// The bar and its legend.
pub(super) fn lines(slots: &SlotsPart, look: &Look, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let text = match slots.total {
        0 => "none".to_owned(),
        total => format!("{} of {total} busy", slots.busy),
    };
    let mut mean = format!(" ({} on average) ", figure(slots.mean_busy()));
    if LABEL.len() + text.len() + mean.trim_end().len() > width {
        mean.clear();
    }
    let taken = slots.total > 0 && slots.busy == slots.total;
    let before = LABEL.len() + text.len() + mean.len();
    let mut spans = vec![
        LABEL.into(),
        match taken {
            true => Span::styled(text, look.alarm()),
            false => text.bold(),
        },
        mean.into(),
    ];
    // One column stays free, so that the end of the bar is seen.
    let room = width.saturating_sub(before + 3);
    if room >= 4 && slots.total > 0 {
        spans.push("[".into());
        let counts = scaled(slots, room);
        spans.extend(
            counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| Span::styled(sign(state).repeat(count), look.state(state))),
        );
        spans.push("]".into());
    }
    let mut lines = vec![Line::from(spans)];
    lines.extend(legend(slots, look, width));
    lines
}

/// Columns of the bar by state: one for each slot, or where there are more slots than columns, by
/// their shares. A state with a slot has at least a column as long as there are enough.
fn scaled(slots: &SlotsPart, room: usize) -> Vec<(SlotState, usize)> {
    let total = slots.total as usize;
    let now = SlotState::ALL.map(|state| (state, slots.now(state) as usize));
    if total <= room {
        return now.to_vec();
    }
    let present = now.iter().filter(|(_, count)| *count > 0).count();
    let free = room.saturating_sub(present);
    let mut before = 0;
    let mut drawn = 0;
    now.into_iter()
        .map(|(state, count)| {
            // Ends are rounded, so that all columns are used.
            before += count;
            let end = before * free / total;
            let columns = end - drawn + usize::from(count > 0);
            drawn = end;
            (state, columns)
        })
        .collect()
}

/// What the signs mean and how many slots have each; those that nobody has are left out.
fn legend(slots: &SlotsPart, look: &Look, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for state in SlotState::ALL {
        let count = slots.now(state);
        if count == 0 {
            continue;
        }
        let mut entry = format!("{} {} {count}", sign(state), words(state));
        if entry.chars().count() + 2 > width {
            entry = format!("{} {count}", sign(state));
        }
        let length = entry.chars().count();
        if used > 0 && used + 3 + length > width {
            lines.push(Line::from(std::mem::take(&mut spans)));
            used = 0;
        }
        let indent = if used == 0 {
            if lines.is_empty() && LABEL.len() + length <= width {
                LABEL.len()
            } else {
                2
            }
        } else {
            3
        };
        spans.push(" ".repeat(indent).into());
        spans.push(Span::styled(entry, look.state(state)));
        used += indent + length;
    }
    if !spans.is_empty() {
        lines.push(Line::from(spans));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(counts: &[(SlotState, u32)]) -> SlotsPart {
        let total = counts.iter().map(|(_, count)| count).sum();
        SlotsPart {
            total,
            busy: total,
            by_state: counts
                .iter()
                .map(|(state, count)| (state.name(), *count))
                .collect(),
            ..SlotsPart::default()
        }
    }

    #[test]
    fn each_slot_has_a_column_where_there_is_room() {
        let slots = slots(&[(SlotState::OnCpu, 2), (SlotState::KeepAlive, 5)]);
        let columns: usize = scaled(&slots, 20).iter().map(|(_, columns)| columns).sum();
        assert_eq!(columns, 7);
    }

    #[test]
    fn many_slots_fill_the_bar_and_none_is_left_out() {
        let slots = slots(&[
            (SlotState::OnCpu, 1),
            (SlotState::KeepAlive, 500),
            (SlotState::Idle, 499),
        ]);
        let scaled = scaled(&slots, 42);
        let columns: usize = scaled.iter().map(|(_, columns)| columns).sum();
        assert_eq!(columns, 42);
        assert_eq!(scaled[0], (SlotState::OnCpu, 1));
        let kept = scaled
            .iter()
            .find(|(state, _)| *state == SlotState::KeepAlive);
        assert!((19..=22).contains(&kept.unwrap().1), "{scaled:?}");
    }
}
