//! The same load with a million events stored, and with many more: what was stored before must not be felt.

use crate::table::{Row, median};

use super::generate::Generator;
use super::server::Server;
use super::{Args, Pace};

/// Slices measured at each size.
const SLICES: usize = 3;
/// The size that the other is compared with.
const SMALL: i64 = 1_000_000;

/// Fills up to a million, measures, fills up to what was asked for, measures again.
pub async fn measure(
    args: &Args,
    server: &Server,
    generator: &mut Generator,
    ours: &mut Pace,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let mut bare = Pace::new();
    while server.stored_events().await? < SMALL {
        bare.bare(server, generator, 5.0).await?;
    }
    let small = server.stored_events().await?;
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
    rows.push(Row::ratio(
        &format!(
            "ingest with {:.0} M events stored, to {:.1} M",
            stored as f64 / 1e6,
            small as f64 / 1e6
        ),
        "events/s",
        after,
        before,
        0.85,
    ));
    Ok(())
}

async fn slices(args: &Args, server: &Server, generator: &mut Generator, ours: &mut Pace) -> anyhow::Result<f64> {
    ours.rates.clear();
    for _ in 0..SLICES {
        ours.ours(args, server, generator, args.slice).await?;
    }
    Ok(median(ours.rates.clone()))
}
