//! The tutorial's summary table with its verdicts, for a terminal.

use std::borrow::Cow;

use textwrap::WordSplitter;

use super::statements::{Line, SetUp, Statements};
use crate::{scenario::SummaryRow, text_table::aligned};

/// No line is longer than this, as long as no word is.
const WIDTH: usize = 100;
/// About so many characters of a finding are shown.
const FINDING: usize = 280;
const STATEMENT: usize = 34;
const SET_UP: usize = 23;

/// The table as lines; empty without statements.
///
/// Each statement has a few lines of cells, with how the set-ups differ and the finding that
/// explains it below.
pub(super) fn summary_table(statements: &Statements) -> String {
    if statements.lines.is_empty() {
        return String::new();
    }
    let mut rows = vec![
        [
            "",
            "the tutorial says",
            "in its own set-up",
            "in a fair set-up",
        ]
        .map(String::from),
    ];
    // What goes below the row of this index, over the whole width.
    let mut below: Vec<(usize, Vec<String>)> = Vec::new();
    for row in SummaryRow::ALL {
        let lines: Vec<&Line> = statements
            .lines
            .iter()
            .filter(|line| line.row == row)
            .collect();
        if lines.is_empty() {
            rows.push([row.title(), "not measured", "", ""].map(String::from));
        }
        let mut said = "";
        for line in lines {
            let title = if said.is_empty() { row.title() } else { "" };
            let says = if said == line.says { "" } else { &line.says };
            said = &line.says;
            rows.extend(cells(title, says, line));
            let findings = line.findings.iter().map(|sentence| shortened(sentence));
            let remarks = [line.difference.clone()]
                .into_iter()
                .chain(findings)
                .chain([line.depends.clone()])
                .filter(|text| !text.is_empty())
                .flat_map(|text| hanging(&text));
            below.push((rows.len() - 1, remarks.collect()));
        }
    }
    let mut text = String::new();
    for (index, line) in aligned(&rows).lines().enumerate() {
        text += line;
        text.push('\n');
        let remarks = below.iter().filter(|(row, _)| *row == index);
        for remark in remarks.flat_map(|(_, remarks)| remarks) {
            text += remark;
            text.push('\n');
        }
    }
    text
}

/// The cells of one statement in one scenario: as many lines as its longest cell.
fn cells(title: &str, says: &str, line: &Line) -> Vec<[String; 4]> {
    let mut says = wrapped(says, STATEMENT);
    says.extend(wrapped(&format!("({})", line.own.title), STATEMENT));
    let own = set_up(&line.own);
    let fair = match &line.fair {
        Some(fair) => set_up(fair),
        None => vec!["the same".into()],
    };
    let height = says.len().max(own.len()).max(fair.len());
    let cell = |lines: &[String], index: usize| lines.get(index).cloned().unwrap_or_default();
    (0..height)
        .map(|index| {
            let title = if index == 0 { title } else { "" };
            [
                title.to_owned(),
                cell(&says, index),
                cell(&own, index),
                cell(&fair, index),
            ]
        })
        .collect()
}

fn set_up(it: &SetUp) -> Vec<String> {
    [&it.verdict, &it.effect, &it.interval, &it.asks_for]
        .into_iter()
        .filter(|text| !text.is_empty())
        .flat_map(|text| wrapped(text, SET_UP))
        .collect()
}

/// A remark, set in.
fn hanging(text: &str) -> Vec<String> {
    let options = textwrap::Options::new(WIDTH)
        .initial_indent("  → ")
        .subsequent_indent("    ")
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(Cow::into_owned).collect()
}

/// The parts of a finding, which `; ` divides, that fit in a few lines; what is in brackets goes
/// first. The pages have all of it.
fn shortened(sentence: &str) -> String {
    let text = match sentence.chars().count() <= FINDING {
        true => Cow::Borrowed(sentence),
        false => Cow::Owned(without_brackets(sentence)),
    };
    let mut parts = text.split("; ");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if short.chars().count() + part.chars().count() > FINDING {
            return short + " …";
        }
        short += "; ";
        short += part;
    }
    short
}

/// The text without what stands in round brackets, and the spaces before them.
fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    let mut bare = String::new();
    for character in text.chars() {
        match character {
            '(' => {
                if depth == 0 {
                    bare.truncate(bare.trim_end().len());
                }
                depth += 1;
            }
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(character),
            _ => {}
        }
    }
    bare
}

/// Words in lines of at most this many characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let options = textwrap::Options::new(width)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Tally, Verdict};

    fn set_up(verdict: Verdict, effect: &str, interval: &str) -> SetUp {
        SetUp {
            scenario: "high-load".into(),
            title: "High load".into(),
            metric: "memory".into(),
            key: "memory_bytes".into(),
            verdict: verdict.name().into(),
            style: verdict,
            effect: effect.into(),
            interval: interval.into(),
            asks_for: String::new(),
            text: String::new(),
            finding: String::new(),
        }
    }

    fn statements(lines: Vec<Line>) -> Statements {
        Statements {
            claims: Vec::new(),
            tally: Tally::default(),
            lines,
        }
    }

    fn memory() -> Line {
        Line {
            row: SummaryRow::ResourceUse,
            says: "Prefork uses more memory than worker and event.".into(),
            own: set_up(Verdict::Confirmed, "14.7 times worker's", "[14.5, 14.9]"),
            fair: Some(set_up(
                Verdict::Confirmed,
                "2.86 times event's",
                "[2.80, 2.91]",
            )),
            difference: "By summed RSS prefork has 15 times what event has, by what the kernel \
                         charges 2.86 times."
                .into(),
            findings: vec![
                "prefork: seventy-five children each have page tables and heaps of their \
                      own, which is what the kernel charges beyond what they share."
                    .into(),
            ],
            depends: String::new(),
        }
    }

    #[test]
    fn every_row_of_the_tutorial_is_there_and_no_line_is_too_long() {
        let table = summary_table(&statements(vec![memory()]));
        for row in SummaryRow::ALL {
            assert!(table.contains(row.title()), "{table}");
        }
        assert_eq!(table.matches("not measured").count(), 5);
        for line in table.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn a_statement_stands_with_both_verdicts_their_difference_and_its_finding() {
        let table = summary_table(&statements(vec![memory()]));
        let from = table.find("Resource use").unwrap();
        let to = table.find("Overload").unwrap();
        assert_eq!(
            &table[from..to],
            "Resource use  Prefork uses more memory than  confirmed            confirmed\n\
             \x20             worker and event.              14.7 times worker's  2.86 times event's\n\
             \x20             (High load)                    [14.5, 14.9]         [2.80, 2.91]\n\
             \x20 → By summed RSS prefork has 15 times what event has, by what the kernel charges 2.86 times.\n\
             \x20 → prefork: seventy-five children each have page tables and heaps of their own, which is what the\n\
             \x20   kernel charges beyond what they share.\n"
        );
    }

    #[test]
    fn further_cases_of_a_statement_do_not_repeat_it_and_end_with_what_it_depends_on() {
        let mut other = memory();
        other.own.title = "Keep-alive".into();
        other.depends = "It depends: refuted in “Keep-alive”.".into();
        let table = summary_table(&statements(vec![memory(), other]));
        assert_eq!(table.matches("Prefork uses more memory than").count(), 1);
        assert!(table.contains("\n              (Keep-alive)"), "{table}");
        let remark = "  → It depends: refuted in “Keep-alive”.\nOverload";
        assert!(table.contains(remark), "{table}");
    }

    #[test]
    fn of_a_long_finding_the_last_parts_are_left_to_the_pages() {
        assert_eq!(shortened("worker: a (z); b; c."), "worker: a (z); b; c.");
        let long = format!(
            "worker: {} (w (v) w); b; {}.",
            "x".repeat(200),
            "y".repeat(100)
        );
        assert_eq!(
            shortened(&long),
            format!("worker: {}; b …", "x".repeat(200))
        );
    }

    #[test]
    fn without_statements_there_is_no_table() {
        assert_eq!(summary_table(&statements(Vec::new())), "");
    }
}
