//! Panels beside and below each other.

use crate::scene::{Rect, Scene, Text};
use crate::style::Color;
use crate::text::{LINE_HEIGHT, Weight, shorten};

/// Size of panel titles.
pub(crate) const PANEL_TITLE_SIZE: f64 = 16.0;
/// Height of a panel's title with the gap under it.
pub(crate) const PANEL_TITLE_HEIGHT: f64 = PANEL_TITLE_SIZE * LINE_HEIGHT + 10.0;
const COLUMN_GAP: f64 = 30.0;
const ROW_GAP: f64 = 22.0;

/// How panels are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub columns: usize,
    pub rows: usize,
}

impl Grid {
    /// Up to four columns for `panels` panels, none narrower than `least_width` unless one
    /// column alone is.
    pub(crate) fn new(panels: usize, width: f64, least_width: f64) -> Self {
        let wished = match panels {
            0 | 1 => 1,
            2 | 4 => 2,
            3 | 5 | 6 | 9 => 3,
            _ => 4,
        };
        let fitting = ((width + COLUMN_GAP) / (least_width + COLUMN_GAP)) as usize;
        let columns = wished.min(fitting).max(1);
        Self {
            columns,
            rows: panels.div_ceil(columns).max(1),
        }
    }

    /// Height of the grid when its rows have this height.
    pub(crate) fn height_for(self, row: f64) -> f64 {
        self.rows as f64 * (row + ROW_GAP) - ROW_GAP
    }

    /// The place of a panel.
    pub(crate) fn cell(self, body: &Rect, index: usize) -> Rect {
        let (columns, rows) = (self.columns as f64, self.rows as f64);
        let width = (body.width() - (columns - 1.0) * COLUMN_GAP) / columns;
        let height = (body.height() - (rows - 1.0) * ROW_GAP) / rows;
        let left = body.left + (index % self.columns) as f64 * (width + COLUMN_GAP);
        let top = body.top + (index / self.columns) as f64 * (height + ROW_GAP);
        Rect::new(left, top, left + width, top + height)
    }
}

/// Writes a panel's title along the top of `area`, cut to its width.
pub(crate) fn draw_panel_title(scene: &mut Scene, area: &Rect, title: &str) {
    let width = |text: &str| scene.fonts.width(text, PANEL_TITLE_SIZE, Weight::Bold);
    let title = shorten(title, area.width(), width);
    let at = (area.left, area.top);
    scene.text(Text::new(title, at, PANEL_TITLE_SIZE).top().bold());
}

/// Writes what an axis shows: for a y axis along the top of `area`, for an x axis in its middle.
pub(crate) fn axis_title(title: &str, at: (f64, f64)) -> Text {
    Text::new(title, at, PANEL_TITLE_SIZE)
        .top()
        .color(Color::MUTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_take_a_near_square_arrangement_and_narrow_pages_fewer_columns() {
        let grid = |panels, least| {
            let grid = Grid::new(panels, 1144.0, least);
            (grid.columns, grid.rows)
        };
        assert_eq!(grid(1, 200.0), (1, 1));
        assert_eq!(grid(3, 200.0), (3, 1));
        assert_eq!(grid(4, 200.0), (2, 2));
        assert_eq!(grid(7, 200.0), (4, 2));
        assert_eq!(grid(3, 500.0), (2, 2));
        assert_eq!(grid(3, 5000.0), (1, 3));
    }

    #[test]
    fn cells_fill_the_body_and_do_not_overlap() {
        let body = Rect::new(10.0, 20.0, 1010.0, 620.0);
        let grid = Grid::new(4, body.width(), 100.0);
        let (first, last) = (grid.cell(&body, 0), grid.cell(&body, 3));
        assert_eq!((first.left, first.top), (10.0, 20.0));
        assert_eq!((last.right, last.bottom), (1010.0, 620.0));
        assert!(grid.cell(&body, 1).left > first.right);
        assert!(grid.cell(&body, 2).top > first.bottom);
        assert_eq!(grid.height_for(first.height()), body.height());
    }
}
