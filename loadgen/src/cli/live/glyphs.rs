//! What a terminal can show.

use ratatui::symbols::bar;

/// The signs that pictures are made of.
#[derive(Debug, PartialEq)]
pub(super) struct Glyphs {
    pub(super) done: &'static str,
    pub(super) to_do: &'static str,
    /// From nothing to full.
    pub(super) shades: [&'static str; 5],
    pub(super) bars: bar::Set<'static>,
}

impl Glyphs {
    pub(super) const UNICODE: Self = Self {
        done: "━",
        to_do: "─",
        shades: [" ", "░", "▒", "▓", "█"],
        bars: bar::NINE_LEVELS,
    };

    pub(super) const ASCII: Self = Self {
        done: "=",
        to_do: "-",
        shades: [" ", ".", ":", "o", "#"],
        bars: bar::Set {
            empty: " ",
            one_eighth: "_",
            one_quarter: ".",
            three_eighths: "-",
            half: "~",
            five_eighths: "=",
            three_quarters: "+",
            seven_eighths: "*",
            full: "#",
        },
    };

    /// What the locale allows.
    pub(super) fn of_locale() -> &'static Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        Self::of(locale.as_deref())
    }

    fn of(locale: Option<&str>) -> &'static Self {
        let locale = locale.unwrap_or("").to_ascii_lowercase();
        if locale.ends_with("utf-8") || locale.ends_with("utf8") {
            &Self::UNICODE
        } else {
            &Self::ASCII
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_locale_with_unicode_gets_it() {
        for locale in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8"] {
            assert_eq!(Glyphs::of(Some(locale)), &Glyphs::UNICODE, "{locale}");
        }
        for locale in [None, Some("C"), Some("POSIX"), Some("de_DE.ISO-8859-1")] {
            assert_eq!(Glyphs::of(locale), &Glyphs::ASCII, "{locale:?}");
        }
    }
}
