//! A page that is filled from the top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};

/// Takes lines from the top of an area.
pub struct Page<'a> {
    /// What is left of the area.
    pub left: Rect,
    /// What is drawn on.
    pub buf: &'a mut Buffer,
}

impl Page<'_> {
    /// Draws the next line, if there is room.
    pub fn line<'l>(&mut self, line: impl Into<Line<'l>>) {
        let area = Rect {
            height: self.left.height.min(1),
            ..self.left
        };
        Paragraph::new(line.into()).render(area, self.buf);
        self.skip(1);
    }

    /// Leaves lines as they are.
    pub fn skip(&mut self, lines: u16) {
        let lines = lines.min(self.left.height);
        self.left.y += lines;
        self.left.height -= lines;
    }
}
