//! What every chart has around it: title, subtitle, footnote and size.

use crate::error::PlotError;

/// Title, notes and size of a picture.
///
/// Sizes are in points; a point is [`scale`](Self::scale) pixels. Charts with one row per datum
/// grow in height when the rows need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What is shown.
    pub title: String,
    /// Under which conditions, e.g. `quick size · median of 3 runs`. May be empty.
    pub subtitle: String,
    /// n, lost events, what the interval is. May be empty.
    pub footnote: String,
    /// Why there is no data, shown in place of the chart when there is none.
    pub no_data: String,
    /// Width in points, 480 to 4000.
    pub width: u32,
    /// Height in points, 320 to 8000; the least height where rows can make the chart grow.
    pub height: u32,
    /// Pixels per point, 1 to 4; 2 is for dense screens.
    pub scale: u32,
}

impl Frame {
    /// A frame of 1200 x 700 points at scale 1.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: String::new(),
            footnote: String::new(),
            no_data: "nothing was recorded".into(),
            width: 1200,
            height: 700,
            scale: 1,
        }
    }

    /// Sets the subtitle.
    #[must_use]
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = subtitle.into();
        self
    }

    /// Sets the footnote.
    #[must_use]
    pub fn footnote(mut self, footnote: impl Into<String>) -> Self {
        self.footnote = footnote.into();
        self
    }

    /// Sets the reason shown when there is no data.
    #[must_use]
    pub fn no_data(mut self, reason: impl Into<String>) -> Self {
        self.no_data = reason.into();
        self
    }

    /// Sets width and height in points.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.width = width;
        self.height = height;
        self
    }

    /// Sets the pixels per point.
    #[must_use]
    pub fn scale(mut self, scale: u32) -> Self {
        self.scale = scale;
        self
    }

    /// Refuses a size that no chart fits in, or that would take gigabytes.
    pub(crate) fn check_size(&self, height: u32) -> Result<(), PlotError> {
        let fits = (480..=4000).contains(&self.width)
            && (320..=8000).contains(&height)
            && (1..=4).contains(&self.scale);
        if fits {
            return Ok(());
        }
        Err(PlotError::Size {
            width: self.width,
            height,
            scale: self.scale,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_at_the_limits_pass_and_beyond_them_fail() {
        let frame = Frame::new("t").size(480, 320);
        assert!(frame.check_size(frame.height).is_ok());
        assert!(frame.check_size(319).is_err());
        assert!(frame.check_size(8001).is_err());
        assert!(frame.clone().size(479, 320).check_size(320).is_err());
        assert!(frame.clone().scale(0).check_size(320).is_err());
        assert!(frame.scale(5).check_size(320).is_err());
    }
}
