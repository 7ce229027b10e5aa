//! The same load with a million events stored, and with many more: what was stored before must not be felt.

use crate::table::{Row, median};

use super::generate::Generator;
use super::server::Server;
use super::{Args, Pace};

/// Slices measured at each size.
const SLICES: usize = 3;
/// The size that the other is compared with.
const SMALL: i64 = 1_000_000;

/// Fills up to a million, measures, fills up to what was asked for, measures again; or takes turns with a database that is filled.
pub async fn measure(
    args: &Args,
    server: &mut Server,
    generator: &mut Generator,
    ours: &mut Pace,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let mut bare = Pace::new();
    while server.stored_events().await? < SMALL {
        bare.bare(server, generator, 5.0).await?;
    }
    let small = server.stored_events().await?;
    if let Some(database) = &args.database {
        let mut filled = Server::on_filled(&args.program, &args.database_url, database).await?;
        let filled_events = filled.stored_events().await?;
        let measured = in_turns(args, [&mut *server, &mut filled], generator).await;
        filled.stop().await?;
        let [before, after] = measured?;
        rows.push(row(filled_events, small, after, before));
        return Ok(());
    }
    let before = slices(args, server, generator, ours).await?;
    let mut copy = 0;
    loop {
        let stored = server.stored_events().await?;
        if stored >= args.grow_to {
            break;
        }
        copy += 1;
        println!("{stored} events stored");
        server.multiply(copy, (args.grow_to - stored).min(small)).await?;
    }
    server.settle().await?;
    let stored = server.stored_events().await?;
    let after = slices(args, server, generator, ours).await?;
    rows.push(row(stored, small, after, before));
    Ok(())
}

fn row(stored: i64, small: i64, after: f64, before: f64) -> Row {
    let stored = stored as f64 / 1e6;
    let name = format!(
        "ingest with {stored:.0} M events stored, to {:.1} M",
        small as f64 / 1e6
    );
    Row::ratio(&name, "events/s", after, before, 0.85)
}

/// Slices on either in turn, each with the other's program ended; the median of each.
async fn in_turns(args: &Args, servers: [&mut Server; 2], generator: &mut Generator) -> anyhow::Result<[f64; 2]> {
    let [small, filled] = servers;
    let mut of_filled = Generator::new(filled.ours.clone(), filled.ours.clone());
    let (mut small_pace, mut filled_pace) = (Pace::new(), Pace::new());
    for _ in 0..SLICES {
        filled.end().await?;
        one(args, small, generator, &mut small_pace).await?;
        small.end().await?;
        one(args, filled, &mut of_filled, &mut filled_pace).await?;
    }
    small.restart().await?;
    Ok([median(small_pace.rates), median(filled_pace.rates)])
}

/// A slice after a start and a short load that does not count.
async fn one(args: &Args, server: &mut Server, generator: &mut Generator, pace: &mut Pace) -> anyhow::Result<()> {
    server.restart().await?;
    pace.ours(args, server, generator, 1.0).await?;
    pace.rates.pop();
    pace.ours(args, server, generator, args.slice).await?;
    Ok(())
}

async fn slices(args: &Args, server: &Server, generator: &mut Generator, ours: &mut Pace) -> anyhow::Result<f64> {
    ours.rates.clear();
    for _ in 0..SLICES {
        ours.ours(args, server, generator, args.slice).await?;
    }
    Ok(median(ours.rates.clone()))
}
