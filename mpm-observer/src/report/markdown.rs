//! The report as Markdown, beside the pictures that it shows.

use minijinja::{AutoEscape, Environment, Value, context, escape_formatter, value::Serde};
use serde::Serialize;

use super::{
    ReportError,
    export::{Exporter, Material, line_blocks},
};

/// Exports Markdown.
pub(super) struct Markdown;

pub(super) const FILE: &str = "report.md";
const TEMPLATE: &str = include_str!("template.md");
/// Name of the escaping of everything put into the template.
const ESCAPING: &str = "markdown";

impl Exporter for Markdown {
    fn file(&self) -> &'static str {
        FILE
    }

    fn export(&self, material: &Material<'_>) -> Result<String, ReportError> {
        render(TEMPLATE, material.page)
    }
}

/// A page of a template in Markdown.
pub(super) fn render(template: &str, page: &impl Serialize) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_syntax(line_blocks()?);
    environment.set_auto_escape_callback(|_| AutoEscape::Custom(ESCAPING.into()));
    environment.set_formatter(|out, state, value| {
        if value.is_safe() {
            return escape_formatter(out, state, value);
        }
        out.write_str(&escape(&value.to_string()))
            .map_err(minijinja::Error::from)
    });
    environment.add_template(FILE, template)?;
    let template = environment.get_template(FILE)?;
    Ok(template.render(context! { page => Value::from(Serde(page)) })?)
}

/// Text as it is, wherever it stands: no mark-up, no HTML, no end of a table's cell or line.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_text_is_neither_mark_up_nor_html_nor_the_end_of_a_cell() {
        assert_eq!(escape("a|b\nc"), "a\\|b c");
        assert_eq!(escape("<script>"), "\\<script\\>");
        assert_eq!(
            escape("[x](y) `z` **b**"),
            "\\[x\\](y) \\`z\\` \\*\\*b\\*\\*"
        );
        assert_eq!(escape("26 MB – prefork"), "26 MB – prefork");
    }
}
