//! The formats of a report.

use minijinja::syntax::SyntaxConfig;

use super::{
    ReportError, data::Contents, figures::ScenarioFigures, page::Page, statements::Statements,
};

/// What there is to export.
pub(super) struct Material<'a> {
    /// The experiment.
    pub contents: &'a Contents,
    /// All figures.
    pub scenarios: &'a [ScenarioFigures],
    /// The tutorial's statements with their verdicts.
    pub statements: &'a Statements,
    /// The report as texts, tables and pictures.
    pub page: &'a Page,
}

/// A format.
pub(super) trait Exporter {
    /// Name of its file.
    fn file(&self) -> &'static str;

    /// The file's text.
    ///
    /// # Errors
    /// When the format cannot be written from this material, which is a fault of the program.
    fn export(&self, material: &Material<'_>) -> Result<String, ReportError>;
}

/// The syntax of the templates: a block on a line of its own leaves no empty line.
pub(super) fn line_blocks() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
}

/// All formats. The page comes last: when it is there, all it names is there.
pub(super) const EXPORTERS: [&dyn Exporter; 3] = [
    &super::json::Json,
    &super::markdown::Markdown,
    &super::html::Html,
];
