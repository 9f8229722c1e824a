//! A picture as plain lines.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Look, Picture, Signs, Sort, View};

/// As wide as the wide form of the tables.
const COLUMNS: u16 = 110;
/// Lines beside those of findings and tasks.
const LINES: u16 = 50;
/// More tasks than this are left out.
const TASKS: usize = 1_000;

/// The picture as lines of text, without colours.
#[must_use]
pub fn lines(picture: &Picture) -> String {
    let look = Look {
        signs: Signs::of_locale(),
        has_colours: false,
    };
    let view = View {
        picture,
        look: &look,
        sort: Sort::Wait,
        with_idle: false,
        follows: true,
        help: false,
        keys: None,
    };
    let busy = picture.tasks.iter().filter(|task| task.state.is_busy());
    let height = LINES + busy.count().min(TASKS) as u16 + 4 * picture.findings.len() as u16;
    let area = Rect::new(0, 0, COLUMNS, height);
    let mut buffer = Buffer::empty(area);
    view.draw(area, &mut buffer);
    let mut text = String::new();
    let mut is_blank = false;
    for y in 0..height {
        let line: String = (0..COLUMNS)
            .map(|x| buffer[(x, y)].symbol().to_owned())
            .collect();
        let line = line.trim_end();
        // Where there was more room than lines.
        if !(is_blank && line.is_empty()) {
            text += line;
            text.push('\n');
        }
        is_blank = line.is_empty();
    }
    text
}
