//! What fits into a line. A figure that is cut off would be another figure, so what does not fit as a
//! whole is said in fewer words, or left out.

use ratatui::text::{Line, Span};

/// A part of a line.
pub(super) struct Part {
    long: String,
    short: String,
    rank: usize,
}

impl Part {
    /// A text and a shorter one for it. Those of the highest rank are left out first.
    pub(super) fn new(rank: usize, long: impl Into<String>, short: impl Into<String>) -> Self {
        Self {
            long: long.into(),
            short: short.into(),
            rank,
        }
    }

    /// One that has no shorter form.
    pub(super) fn fixed(rank: usize, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(rank, text.clone(), text)
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The parts in their order, as far as `room` columns hold them.
pub(super) fn parts(mut parts: Vec<Part>, room: usize) -> String {
    let long: String = parts.iter().map(|part| part.long.as_str()).collect();
    if length(&long) <= room {
        return long;
    }
    loop {
        let short: String = parts.iter().map(|part| part.short.as_str()).collect();
        if length(&short) <= room {
            return short;
        }
        let last = parts.iter().enumerate().max_by_key(|(_, part)| part.rank);
        let Some((place, _)) = last else {
            return String::new();
        };
        parts.remove(place);
    }
}

/// The columns of a table from the left, as far as they fit.
pub(super) fn columns(columns: Vec<Span<'static>>, width: u16) -> Line<'static> {
    let mut room = usize::from(width);
    let fits = |column: &Span<'static>| {
        // Nothing follows what is blank at the end.
        let needed = length(column.content.trim_end());
        let fits = needed <= room;
        room = room.saturating_sub(length(&column.content));
        fits
    };
    Line::from(columns.into_iter().take_while(fits).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> Vec<Part> {
        vec![
            Part::fixed(0, "182 open"),
            Part::new(1, ", 121 served", ", 121 served"),
            Part::new(3, ", 2 parked without one", ", 2 parked"),
            Part::new(2, ", 59 not read for 10.0 ms", ", 59 unread 10.0 ms"),
        ]
    }

    #[test]
    fn what_does_not_fit_has_fewer_words_or_is_left_out_as_a_whole() {
        let all = "182 open, 121 served, 2 parked without one, 59 not read for 10.0 ms";
        assert_eq!(parts(four(), all.len()), all);
        let short = "182 open, 121 served, 2 parked, 59 unread 10.0 ms";
        assert_eq!(parts(four(), all.len() - 1), short);
        assert_eq!(parts(four(), short.len()), short);
        let without = "182 open, 121 served, 59 unread 10.0 ms";
        assert_eq!(parts(four(), short.len() - 1), without);
        assert_eq!(parts(four(), 12), "182 open");
        assert_eq!(parts(four(), 7), "");
    }

    #[test]
    fn a_column_that_does_not_fit_is_left_out_with_all_after_it() {
        let row = || vec!["name      ".into(), "  29.3 s".into(), "  12 %  ".into()];
        let text = |width| columns(row(), width).to_string().trim_end().to_owned();
        assert_eq!(text(24), "name        29.3 s  12 %");
        assert_eq!(text(23), "name        29.3 s");
        assert_eq!(text(17), "name");
        assert_eq!(text(3), "");
    }
}
