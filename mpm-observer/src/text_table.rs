//! Tables for a terminal.

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
}
