//! `cargo xtask bench collector`

use std::time::Duration;

use clap::Args;

use super::{Common, failed};
use crate::{
    commands::exit::{CommandResult, Exit},
    kernel::Book,
    overhead::{CollectorCost, GOAL_CPU_SHARE, GOAL_PEAK_BYTES, GOAL_RATE_PER_S, collector_cost},
    scenario::Mpm,
};

/// Options of `collector`.
#[derive(Debug, Args)]
pub(super) struct CollectorArguments {
    #[command(flatten)]
    common: Common,
    /// Length of the recording in seconds; the memory is also read after a sixth of it
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    seconds: f64,
}

/// Runs it.
pub(super) fn run(arguments: &CollectorArguments) -> CommandResult {
    let all = Duration::try_from_secs_f64(arguments.seconds)
        .map_err(|error| (Exit::Usage, format!("--seconds: {error}")))?;
    let early = all / 6;
    let interrupt = arguments.common.prepare()?;
    let place = arguments.common.open()?;
    let mpms = &arguments.common.mpm;
    // The load at which the collector has most to do; the others on demand.
    let mpms = if *mpms == Mpm::ALL {
        &[Mpm::Event][..]
    } else {
        mpms
    };
    for &mpm in mpms {
        eprintln!("recording {mpm} for {} s …", all.as_secs_f64());
        let ground = place.ground(&interrupt);
        let cost = collector_cost(ground, mpm, early, all - early).map_err(failed)?;
        let Some(cost) = cost else {
            return Ok(Exit::Interrupted);
        };
        print(&cost, early);
    }
    Ok(Exit::Done)
}

fn print(cost: &CollectorCost, early: Duration) {
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let reached = |good| if good { "reached" } else { "not reached" };
    let share = cost.cpu_share_at_goal_rate();
    let counters = &cost.counters;
    let sum = |figure: fn(&Book) -> u64| counters.books.iter().map(figure).sum::<u64>();
    let (sent, received) = (sum(|book| book.sent), sum(|book| book.received));
    println!(
        "{}, keep-alive: {} requests in {:.0} s, {:.0}/s",
        cost.mpm,
        cost.requests,
        cost.seconds,
        cost.rate_per_s()
    );
    println!(
        "  CPU of the collector   {:.2} % of a core, scaled to {GOAL_RATE_PER_S:.0}/s {:.2} % \
         (goal \u{2264} {:.0} %: {})",
        cost.cpu_share() * 100.0,
        share * 100.0,
        GOAL_CPU_SHARE * 100.0,
        reached(share <= GOAL_CPU_SHARE)
    );
    println!(
        "  peak memory            {:.1} MB before, {:.1} MB after {:.0} s, {:.1} MB after {:.0} s \
         (goal \u{2264} {:.0} MB: {})",
        megabytes(cost.peak_before_bytes),
        megabytes(cost.peak_early_bytes),
        early.as_secs_f64(),
        megabytes(cost.peak_late_bytes),
        cost.seconds,
        megabytes(GOAL_PEAK_BYTES),
        reached(cost.peak_late_bytes <= GOAL_PEAK_BYTES)
    );
    println!(
        "  events                 {sent} sent, {received} received, {} lost; {} runs of programs skipped \
         (goal 0 lost: {})",
        counters.lost(),
        counters.skipped(),
        reached(counters.lost() == 0 && counters.balanced())
    );
}
