//! Signs and colours that a terminal can show.

use ratatui::style::{Color, Modifier, Style};

use crate::live::SlotState;

/// The signs that differ between terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// All of Unicode.
    Unicode,
    /// ASCII alone.
    Ascii,
}

impl Signs {
    /// What the locale allows.
    #[must_use]
    pub fn of_locale() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        Self::of(locale.as_deref())
    }

    fn of(locale: Option<&str>) -> Self {
        let locale = locale.unwrap_or("").to_ascii_lowercase();
        if locale.ends_with("utf-8") || locale.ends_with("utf8") {
            Self::Unicode
        } else {
            Self::Ascii
        }
    }
}

/// How things look. Nothing is told by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The signs.
    pub signs: Signs,
    /// Whether there are colours: the eight that every terminal has.
    pub has_colours: bool,
}

impl Look {
    /// What the environment allows: no colours with `NO_COLOR`.
    #[must_use]
    pub fn of_environment() -> Self {
        Self {
            signs: Signs::of_locale(),
            has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    fn coloured(self, colour: Color) -> Style {
        if self.has_colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// Something that is wrong.
    pub(super) fn alarm(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Something beside the matter.
    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A state.
    pub(super) fn state(self, state: SlotState) -> Style {
        match state {
            SlotState::OnCpu => self.coloured(Color::Green),
            SlotState::RunQueue => self.coloured(Color::Yellow),
            SlotState::Lock | SlotState::Disk => self.coloured(Color::Red),
            SlotState::ReadingClient | SlotState::Sending => self.coloured(Color::Cyan),
            SlotState::KeepAlive => self.coloured(Color::Blue),
            SlotState::Closing | SlotState::Other => self.coloured(Color::Magenta),
            SlotState::Idle => self.quiet(),
        }
    }

    /// A part of a bar.
    pub(super) fn bar(self, share: f64, width: usize) -> String {
        let filled = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
        let (full, empty) = match self.signs {
            Signs::Unicode => ("█", "·"),
            Signs::Ascii => ("#", "."),
        };
        full.repeat(filled) + &empty.repeat(width - filled)
    }
}

/// The sign of a state: that of mod_status where it has the state, and otherwise none of its own.
pub(super) const fn sign(state: SlotState) -> &'static str {
    match state {
        SlotState::OnCpu => "*",
        SlotState::RunQueue => "q",
        SlotState::Lock => "k",
        SlotState::Disk => "d",
        SlotState::ReadingClient => "R",
        SlotState::Sending => "W",
        SlotState::KeepAlive => "K",
        SlotState::Closing => "C",
        SlotState::Other => "o",
        SlotState::Idle => "_",
    }
}

/// A state in words.
pub(super) const fn words(state: SlotState) -> &'static str {
    match state {
        SlotState::OnCpu => "on CPU",
        SlotState::RunQueue => "run queue",
        SlotState::Lock => "lock",
        SlotState::Disk => "disk",
        SlotState::ReadingClient => "reading client",
        SlotState::Sending => "sending",
        SlotState::KeepAlive => "keep-alive",
        SlotState::Closing => "closing",
        SlotState::Other => "other",
        SlotState::Idle => "idle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_locale_with_unicode_gets_it() {
        for locale in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8"] {
            assert_eq!(Signs::of(Some(locale)), Signs::Unicode, "{locale}");
        }
        for locale in [None, Some("C"), Some("POSIX"), Some("de_DE.ISO-8859-1")] {
            assert_eq!(Signs::of(locale), Signs::Ascii, "{locale:?}");
        }
    }

    #[test]
    fn without_colours_nothing_has_one_and_signs_differ() {
        let look = Look {
            signs: Signs::Ascii,
            has_colours: false,
        };
        let mut signs: Vec<&str> = SlotState::ALL.into_iter().map(sign).collect();
        signs.sort_unstable();
        signs.dedup();
        assert_eq!(signs.len(), SlotState::ALL.len());
        // Those of mod_status with another meaning: starting, DNS, logging, graceful, cleaning up,
        // and no process.
        for taken in ["S", "D", "L", "G", "I", "."] {
            assert!(!signs.contains(&taken), "{taken}");
        }
        for state in SlotState::ALL {
            assert_eq!(look.state(state).fg, None);
        }
        assert_eq!(look.alarm().fg, None);
        assert_eq!(look.bar(0.5, 4), "##..");
    }
}
