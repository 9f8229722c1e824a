//! Tables for a terminal and for Markdown.

/// Columns as wide as their widest cell, two spaces apart.
#[must_use]
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |text: &String| text.chars().count();
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, widest)| format!("{cell:widest$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The same as a Markdown table; the first row is its head.
#[must_use]
pub(crate) fn markdown<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.each_ref().map(|cell| cell.replace('|', "\\|"));
        text += &format!("| {} |\n", cells.join(" | "));
        if index == 0 {
            text += &format!("|{}\n", "---|".repeat(N));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_signs_they_hold() {
        let rows = [
            ["a".to_owned(), "\u{2212}1".to_owned(), "x".to_owned()],
            ["long".to_owned(), "+10".to_owned(), "y".to_owned()],
        ];
        assert_eq!(aligned(&rows), "a     \u{2212}1   x\nlong  +10  y\n");
    }

    #[test]
    fn markdown_has_a_line_below_the_head_and_keeps_bars_in_their_cell() {
        let rows = [
            ["a".to_owned(), "b".to_owned()],
            ["1|2".to_owned(), String::new()],
        ];
        assert_eq!(markdown(&rows), "| a | b |\n|---|---|\n| 1\\|2 |  |\n");
    }
}
