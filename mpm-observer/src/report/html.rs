//! The report as one page of HTML that needs nothing besides itself.

use minijinja::{Environment, Value, context, value::Serde};
use serde::Serialize;

use super::{
    ReportError,
    export::{Exporter, Material, line_blocks},
};

/// Exports HTML.
pub(super) struct Html;

/// Ends with `.html`, so that everything put into it is escaped.
pub(super) const FILE: &str = "report.html";
/// Macros of all pages.
const MACROS: &str = include_str!("macros.html");
const TEMPLATE: &str = include_str!("template.html");
const STYLE: &str = include_str!("style.css");

impl Exporter for Html {
    fn file(&self) -> &'static str {
        FILE
    }

    fn export(&self, material: &Material<'_>) -> Result<String, ReportError> {
        render(TEMPLATE, material.page)
    }
}

/// A page of a template in HTML.
pub(super) fn render(template: &str, page: &impl Serialize) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_syntax(line_blocks()?);
    environment.add_template("macros.html", MACROS)?;
    environment.add_template(FILE, template)?;
    let template = environment.get_template(FILE)?;
    Ok(template.render(context! {
        page => Value::from(Serde(page)),
        style => STYLE,
    })?)
}
