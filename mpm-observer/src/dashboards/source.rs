//! What a dashboard shows, in short.

use serde::Deserialize;
use thiserror::Error;

/// The sources that are built in, by the names of their files.
const BUILT_IN: [(&str, &str); 2] = [
    ("live", include_str!("../../../dashboards/live.toml")),
    ("compare", include_str!("../../../dashboards/compare.toml")),
];

/// A mistake in a source.
#[derive(Debug, Error)]
#[error("dashboards/{name}.toml: {message}")]
pub struct SourceError {
    name: String,
    message: String,
}

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name of its file, without an ending.
    #[serde(skip)]
    pub name: String,
    /// By which Grafana knows it again, whatever its title.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Its rows, from top to bottom.
    pub rows: Vec<Row>,
}

/// Panels under a heading.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The heading.
    pub title: String,
    /// The panels, from left to right and top to bottom.
    pub panels: Vec<Panel>,
}

/// A panel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// What is shown.
    pub title: String,
    /// How to read it.
    pub description: String,
    /// How it is shown.
    #[serde(default)]
    pub kind: Kind,
    /// What its values are.
    pub unit: PanelUnit,
    /// Whether the series add up to something.
    #[serde(default)]
    pub stacked: bool,
    /// Whether the values are on a logarithmic axis, for those of several orders of magnitude.
    #[serde(default)]
    pub log: bool,
    /// How many of the 24 columns it takes.
    #[serde(default = "half")]
    pub width: u32,
    /// From where on a value is bad; of [`Kind::Value`] only.
    pub bad_from: Option<f64>,
    /// From where on a value is good; of [`Kind::Value`] only, and instead of the other.
    pub good_from: Option<f64>,
    /// Its queries.
    pub queries: Vec<Query>,
}

const fn half() -> u32 {
    12
}

/// A query of a panel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// In PromQL. `$where` stands for the matchers of what was chosen above the dashboard, and
    /// `$by_mpm` for the factor that gives a series the label `mpm`.
    pub expr: String,
    /// The name of its series, with `{{label}}` for a label's value.
    pub legend: String,
}

/// How a panel shows its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Lines over time.
    #[default]
    Lines,
    /// The last value, large.
    Value,
}

/// What the values of a panel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PanelUnit {
    /// Something counted.
    Count,
    /// Something counted per second.
    PerSecond,
    /// Requests per second.
    RequestsPerSecond,
    /// Seconds.
    Seconds,
    /// A share; 1 is all.
    Share,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// 1 for yes, 0 for no.
    YesNo,
}

/// All dashboards.
///
/// # Errors
/// When a source cannot be read, which a test excludes.
pub fn sources() -> Result<Vec<Source>, SourceError> {
    let read = |(name, text): (&str, &str)| Source::parse(name, text);
    BUILT_IN.into_iter().map(read).collect()
}

impl Source {
    /// Reads a source.
    ///
    /// # Errors
    /// When a key is unknown or missing, or a value makes no sense.
    pub fn parse(name: &str, text: &str) -> Result<Self, SourceError> {
        let wrong = |message: String| SourceError {
            name: name.into(),
            message,
        };
        let mut source: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        source.name = name.into();
        for panel in source.panels() {
            panel
                .check()
                .map_err(|message| wrong(format!("panel {:?}: {message}", panel.title)))?;
        }
        Ok(source)
    }

    /// Its panels.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }
}

impl Panel {
    fn check(&self) -> Result<(), &'static str> {
        if !(1..=24).contains(&self.width) {
            return Err("a panel takes 1 to 24 columns");
        }
        if self.description.trim().is_empty() {
            return Err("the description is empty");
        }
        if self.queries.is_empty() {
            return Err("it has no query");
        }
        if self.log && (self.stacked || self.kind != Kind::Lines) {
            return Err("log is of lines that are not stacked");
        }
        match (self.kind, self.bad_from, self.good_from) {
            (Kind::Lines, None, None) | (Kind::Value, _, None) | (Kind::Value, None, _) => {}
            _ => return Err("bad_from or good_from is of values, and one of them"),
        }
        let narrowed = |query: &Query| query.expr.contains("$where") && !query.expr.contains("{}");
        if !self.queries.iter().all(narrowed) {
            return Err("a query must be narrowed by $where");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "uid = \"u\"\ntitle = \"T\"\ndescription = \"D\"\n[[rows]]\ntitle = \"R\"\n\
        [[rows.panels]]\ntitle = \"P\"\n";
    const REST: &str = "description = \"how\"\nunit = \"seconds\"\n";
    const QUERY: &str = "queries = [{ expr = \"up{$where}\", legend = \"up\" }]\n";

    #[test]
    fn a_panel_has_lines_on_half_the_width_unless_it_says_otherwise() {
        let source = Source::parse("x", &format!("{HEAD}{REST}{QUERY}")).unwrap();
        let panel = source.panels().next().unwrap();
        assert_eq!((panel.kind, panel.width), (Kind::Lines, 12));
        assert_eq!(source.name, "x");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_panels_title() {
        for (wrong, says) in [
            (format!("{REST}{QUERY}width = 25\n"), "24 columns"),
            (
                format!("description = \" \"\nunit = \"count\"\n{QUERY}"),
                "description",
            ),
            (format!("{REST}queries = []\n"), "no query"),
            (
                format!("{REST}{QUERY}log = true\nstacked = true\n"),
                "not stacked",
            ),
            (format!("{REST}{QUERY}bad_from = 1\n"), "bad_from"),
            (
                format!("{REST}queries = [{{ expr = \"up\", legend = \"up\" }}]\n"),
                "$where",
            ),
        ] {
            let error = Source::parse("x", &format!("{HEAD}{wrong}")).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(says) && error.contains("\"P\""), "{error}");
        }
        assert!(Source::parse("x", &format!("{HEAD}{REST}{QUERY}colour = 1\n")).is_err());
    }

    #[test]
    fn the_built_in_sources_can_be_read() {
        assert_eq!(sources().unwrap().len(), BUILT_IN.len());
    }
}
