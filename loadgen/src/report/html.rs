//! The figures as an HTML table, as ab -w prints them.

use std::fmt::{self, Write};

use super::{FailureGroups, ms};
use crate::{Config, Histogram, Outcome, Summary};

/// What ab's `-x`, `-y` and `-z` put into the tags, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlAttributes {
    /// Of `<table>`.
    pub table: String,
    /// Of each `<tr>`.
    pub row: String,
    /// Of each `<td>` and `<th>`.
    pub cell: String,
}

impl Default for HtmlAttributes {
    /// Those of ab.
    fn default() -> Self {
        Self {
            table: String::new(),
            row: String::new(),
            cell: "bgcolor=white".to_owned(),
        }
    }
}

/// The rows of ab's table, and the outcomes told apart.
#[must_use]
pub fn html(config: &Config, summary: &Summary, attributes: &HtmlAttributes) -> String {
    let mut table = Table {
        out: String::new(),
        attributes,
    };
    // Writing to a String cannot fail.
    let _ = table.all(config, summary);
    table.out
}

struct Table<'a> {
    out: String,
    attributes: &'a HtmlAttributes,
}

impl Table<'_> {
    fn all(&mut self, config: &Config, summary: &Summary) -> fmt::Result {
        writeln!(self.out, "\n\n<table {}>", self.attributes.table)?;
        self.figures(config, summary)?;
        self.times(summary)?;
        for (outcome, count) in summary.outcomes.iter().filter(|(_, count)| *count > 0) {
            self.line(&format!("Requests {}:", outcome.meaning()), count)?;
        }
        writeln!(self.out, "</table>")
    }

    fn figures(&mut self, config: &Config, summary: &Summary) -> fmt::Result {
        let target = config.target();
        let server = summary.server_software.as_deref().unwrap_or("");
        self.line("Server Software:", server)?;
        self.line("Server Hostname:", &target.host)?;
        self.line("Server Port:", target.addr.port())?;
        self.line("Document Path:", &target.path)?;
        self.line("Document Length:", super::text::document_length(summary))?;
        self.line("Concurrency Level:", config.concurrency)?;
        let seconds = summary.wall_seconds();
        self.line("Time taken for tests:", format!("{seconds:.3} seconds"))?;
        self.line("Complete requests:", summary.answered())?;
        self.line("Failed requests:", summary.failed())?;
        if summary.failed() > 0 {
            let groups = FailureGroups::of(summary);
            let HtmlAttributes { row, cell, .. } = self.attributes;
            writeln!(
                self.out,
                "<tr {row}><td colspan=4 {cell} >   (Connect: {}, Receive: {}, Length: {}, \
                 Exceptions: {})</td></tr>",
                groups.connect, groups.receive, groups.length, groups.exceptions
            )?;
        }
        let non2xx = summary.outcomes.get(Outcome::Non2xx);
        if non2xx > 0 {
            self.line("Non-2xx/3xx responses:", non2xx)?;
        }
        if config.keep_alive {
            self.line("Keep-Alive requests:", summary.keep_alive_answers)?;
        }
        let bytes = |count: u64| format!("{count} bytes");
        self.line("Total transferred:", bytes(summary.bytes_received))?;
        if !config.body.is_empty() {
            self.line("Total body sent:", summary.bytes_sent)?;
        }
        self.line("HTML transferred:", bytes(summary.bytes_body))?;
        let rate = format!("{:.2}", summary.answers_per_second());
        self.line("Requests per second:", rate)?;
        if summary.wall_ns > 0 {
            let rate = summary.bytes_received as f64 / 1024.0 / seconds;
            self.line("Transfer rate:", format!("{rate:.2} kb/s received"))?;
        }
        Ok(())
    }

    fn times(&mut self, summary: &Summary) -> fmt::Result {
        let latencies = &summary.latencies;
        if latencies.total.count() == 0 {
            return Ok(());
        }
        let mut connect = latencies.connect.clone();
        connect.record_n(0, latencies.total.count().saturating_sub(connect.count()));
        let HtmlAttributes { row, cell, .. } = self.attributes;
        writeln!(
            self.out,
            "<tr {row}><th {cell} colspan=4>Connection Times (ms)</th></tr>\n<tr {row}><th \
             {cell}>&nbsp;</th> <th {cell}>min</th>   <th {cell}>avg</th>   <th \
             {cell}>max</th></tr>"
        )?;
        for (name, times) in [
            ("Connect:", &connect),
            ("Processing:", &latencies.processing),
            ("Total:", &latencies.total),
        ] {
            self.times_line(name, times)?;
        }
        Ok(())
    }

    fn times_line(&mut self, name: &str, times: &Histogram) -> fmt::Result {
        let HtmlAttributes { row, cell, .. } = self.attributes;
        write!(self.out, "<tr {row}><th {cell}>{name}</th>")?;
        for ns in [
            times.min_ns() as f64,
            times.mean_ns(),
            times.max_ns() as f64,
        ] {
            write!(self.out, "<td {cell}>{:>9.3}</td>", ms(ns))?;
        }
        writeln!(self.out, "</tr>")
    }

    fn line(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        let HtmlAttributes { row, cell, .. } = self.attributes;
        let value = escaped(&value.to_string());
        writeln!(
            self.out,
            "<tr {row}><th colspan=2 {cell}>{name}</th><td colspan=2 {cell}>{value}</td></tr>"
        )
    }
}

/// Text that may come from a server, made harmless in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    #[test]
    fn attributes_and_figures_stand_in_the_table_and_foreign_text_is_harmless() {
        let config = Config::new(Target::parse("http://127.0.0.1:81/x").expect("good"));
        let mut summary = Summary::empty(0, crate::EngineKind::Epoll);
        summary.outcomes.add(Outcome::Ok, 7);
        summary.latencies.total.record_n(2_000_000, 7);
        summary.server_software = Some("<b>&".to_owned());
        let attributes = HtmlAttributes {
            table: "border=1".into(),
            row: "align=left".into(),
            cell: "class=a".into(),
        };
        let text = html(&config, &summary, &attributes);
        for part in [
            "<table border=1>",
            "<tr align=left><th colspan=2 class=a>Server Port:</th><td colspan=2 \
             class=a>81</td></tr>",
            "&lt;b&gt;&amp;</td>",
            "<th class=a>Total:</th><td class=a>    2.000</td>",
            "Requests answered with 2xx or 3xx:",
            "</table>",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let plain = html(&config, &summary, &HtmlAttributes::default());
        assert!(plain.contains("<td colspan=2 bgcolor=white>81</td>"));
    }
}
