//! The report as one page of HTML that needs nothing besides itself.

use minijinja::{Environment, Value, context, value::Serde};

use super::{
    ReportError,
    export::{Exporter, Material, line_blocks},
};

/// Exports HTML.
pub(super) struct Html;

/// Ends with `.html`, so that everything put into it is escaped.
const FILE: &str = "report.html";
const TEMPLATE: &str = include_str!("template.html");
const STYLE: &str = include_str!("style.css");

impl Exporter for Html {
    fn file(&self) -> &'static str {
        FILE
    }

    fn export(&self, material: &Material<'_>) -> Result<String, ReportError> {
        let mut environment = Environment::new();
        environment.set_syntax(line_blocks()?);
        environment.add_template(FILE, TEMPLATE)?;
        let template = environment.get_template(FILE)?;
        Ok(template.render(context! {
            page => Value::from(Serde(material.page)),
            style => STYLE,
        })?)
    }
}
