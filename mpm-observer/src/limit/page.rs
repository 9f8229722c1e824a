//! The picture and a page of HTML that needs nothing besides itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use minijinja::{Environment, context, syntax::SyntaxConfig};
use plots::Chart;

use super::{
    chart::{PICTURE_FILE, chart, conditions},
    error::LimitError,
    found::Found,
    trial::Counts,
    words::{HEADS, row},
};
use crate::statistics::wilson;

/// Name of the page; ends with `.html`, so that everything put into it is escaped.
const PAGE_FILE: &str = "limit.html";
const TEMPLATE: &str = include_str!("template.html");
const STYLE: &str = include_str!("../report/style.css");

impl Found {
    /// Draws `failure-share.png` and writes `limit.html` into the search's directory; returns the
    /// page's path.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(&self, dir: &Path) -> Result<PathBuf, LimitError> {
        let kind = self.kind().ok_or_else(|| {
            LimitError::CannotBeSet(format!(
                "{:?} is no limit that this version knows; use the version that wrote it",
                self.kind
            ))
        })?;
        let picture = chart(self, kind);
        let png = picture.png()?;
        write(&dir.join(PICTURE_FILE), &png)?;
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?;
        environment.set_syntax(syntax);
        environment.add_template(PAGE_FILE, TEMPLATE)?;
        let rows: Vec<[String; 7]> = self.searches.iter().map(|one| row(kind, one)).collect();
        let text = environment.get_template(PAGE_FILE)?.render(context! {
            style => STYLE,
            title => format!("{}: how much each MPM needs", kind.set_by),
            meaning => kind.meaning,
            sentence => self.sentence(),
            heads => HEADS,
            rows => rows,
            remarks => self.remarks(),
            interrupted => self.interrupted,
            base64 => STANDARD.encode(&png),
            picture => PICTURE_FILE,
            repetitions => self.repetitions,
            still_possible => format!("{:.0} %", 100.0 * wilson(0.0, 2 * self.repetitions as usize).high),
            precision => format!("{} %", 100.0 * self.precision),
            strict => self.counts == Counts::RefusedCalls,
            facts => self.facts(),
        })?;
        let page = dir.join(PAGE_FILE);
        write(&page, text.as_bytes())?;
        Ok(page)
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let machine = &self.machine;
        let mut facts = vec![
            ("load", conditions(self)),
            ("httpd", self.httpd_version.clone()),
            (
                "machine",
                format!(
                    "Linux {}, {} CPUs, {}",
                    machine.kernel,
                    machine.cpus,
                    plots::Unit::Bytes.format(machine.memory_bytes as f64)
                ),
            ),
            ("command", self.command.join(" ")),
        ];
        let other: Vec<String> = self
            .searches
            .iter()
            .take(1)
            .map(|one| one.plan.limits.as_ulimit())
            .filter(|text| !text.is_empty())
            .collect();
        facts.extend(other.into_iter().map(|text| ("other limits", text)));
        facts
    }
}

/// Writes a file beside its place and moves it there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), LimitError> {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(|source| LimitError::Write {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::words::tests::found;

    #[test]
    fn the_page_has_the_sentence_the_table_the_picture_and_the_command_escaped() {
        let dir = tempfile::tempdir().unwrap();
        let mut found = found("nofile", [9, 30, 33]);
        found.command = vec!["limit".into(), "--out".into(), "<b>".into()];
        let page = found.publish(dir.path()).unwrap();
        let text = fs::read_to_string(page).unwrap();
        for part in [
            "prefork needs 9 open files per process",
            "<td>ulimit -n 30</td>",
            "data:image/png;base64,iVBOR",
            "limit --out &lt;b&gt;",
        ] {
            assert!(text.contains(part), "{part} is missing");
        }
        assert!(!text.contains("<b>"));
        let png = fs::read(dir.path().join(PICTURE_FILE)).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }
}
