//! The mean request as the client sees it beside what the server took of it.

use plots::Unit;

use super::{
    figures::ScenarioFigures,
    tables::{Cell, Row, Table, columns},
};
use crate::{correlate::RunAnalysis, scenario::Mpm};

/// Sums over the successful requests of a run that were seen from both sides and that no loss
/// touched, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SideSums {
    requests: u64,
    connect_ns: u64,
    first_byte_ns: u64,
    body_ns: u64,
    whole_ns: u64,
    server_ns: u64,
}

impl SideSums {
    /// Of this run.
    pub fn of(run: &RunAnalysis) -> Self {
        let mut sums = Self::default();
        for pair in &run.join.pairs {
            let (client, kernel) = (&run.client[pair.client], &run.kernel[pair.kernel]);
            if !client.is_ok() || !kernel.is_whole() {
                continue;
            }
            sums.requests += 1;
            if !client.reused {
                sums.connect_ns += client.connected_ns.saturating_sub(client.connect_start_ns);
            }
            sums.first_byte_ns += client.first_byte_ns.saturating_sub(client.sent_ns);
            sums.body_ns += client.last_byte_ns.saturating_sub(client.first_byte_ns);
            sums.whole_ns += client.latency_ns();
            // What the server does after the client has its last byte is not the request's.
            let served_ns = kernel.last_send_ns.min(client.last_byte_ns);
            sums.server_ns += served_ns.saturating_sub(kernel.arrival_ns);
        }
        sums
    }

    const fn difference_ns(&self) -> u64 {
        self.whole_ns.saturating_sub(self.server_ns)
    }
}

type Side = (&'static str, &'static str, fn(&SideSums) -> u64);

/// Label, meaning and figure of each row.
const SIDES: [Side; 6] = [
    (
        "client: connect",
        "from the connect to the usable connection; 0 on a kept one",
        |sums| sums.connect_ns,
    ),
    (
        "client: time to first byte",
        "from the write of the request to the first byte of the answer",
        |sums| sums.first_byte_ns,
    ),
    (
        "client: body",
        "from the first byte of the answer to the last one",
        |sums| sums.body_ns,
    ),
    (
        "client: whole request",
        "from when the request was due (in a closed loop its begin) to its last byte",
        |sums| sums.whole_ns,
    ),
    (
        "server: arrival to last send",
        "from the arrival of the request at the server's socket to the return of the last send",
        |sums| sums.server_ns,
    ),
    (
        "difference: network and client",
        "what the client sees and the server has no part in; large with a slow client",
        SideSums::difference_ns,
    ),
];

/// The table.
pub(super) fn sides_table(figures: &ScenarioFigures) -> Table {
    Table {
        title: "Both sides of the mean request".into(),
        columns: columns(figures),
        rows: SIDES
            .iter()
            .map(|(label, hint, of)| Row {
                label: (*label).into(),
                hint: (*hint).into(),
                cells: figures
                    .mpms()
                    .into_iter()
                    .map(|mpm| Cell::plain(mean(figures, mpm, *of)))
                    .collect(),
            })
            .collect(),
        notes: vec!["Means over the requests of the table above.".into()],
    }
}

fn mean(figures: &ScenarioFigures, mpm: Mpm, of: fn(&SideSums) -> u64) -> String {
    let sum = |of: &dyn Fn(&SideSums) -> u64| -> u64 {
        figures.runs_of(mpm).map(|run| of(&run.sides)).sum()
    };
    match (sum(&|sums| sums.requests), sum(&of)) {
        (0, _) => "\u{2013}".into(),
        (_, 0) => "0".into(),
        (requests, total) => Unit::Nanoseconds.format(total as f64 / requests as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        charts::tests::with_subject,
        made_up::{Figures, three_of_each},
    };

    #[test]
    fn the_difference_is_what_the_server_had_no_part_in() {
        let mut run = three_of_each(|_, _| Figures::default()).remove(0);
        let sums = SideSums::of(&run);
        assert_eq!(sums.requests as usize, run.phases().len());
        // The made-up requests arrive 40 µs after their begin and are sent 40 µs before their end.
        assert_eq!(sums.difference_ns(), 80_000 * sums.requests);
        assert_eq!(sums.connect_ns, 20_000 * sums.requests);

        // A request that a loss touched has no part in it.
        let touched = run
            .join
            .pairs
            .iter()
            .find(|pair| run.client[pair.client].is_ok())
            .unwrap()
            .kernel;
        run.kernel[touched].after_loss = true;
        assert_eq!(run.touched(), 1);
        assert_eq!(run.phases().len() as u64, sums.requests - 1);
        assert_eq!(SideSums::of(&run).requests, sums.requests - 1);
    }

    #[test]
    fn every_row_has_a_cell_for_each_mpm() {
        with_subject(three_of_each(|_, _| Figures::default()), |subject| {
            let table = sides_table(subject.figures);
            assert_eq!(table.rows.len(), SIDES.len());
            assert!(table.rows.iter().all(|row| row.cells.len() == 3));
            assert_eq!(table.rows[0].cells[0].text, "20 µs");
        });
    }
}
