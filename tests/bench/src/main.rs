//! Load generators and reference programs: `bench <name>` measures one area against its budget.
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod export;
mod ingest;
mod reports;
mod shop;
mod table;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Measures against the budgets; ratios come from one interleaved run"
)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Batches and single events over HTTP into the real program, against the bare SQL on the same tables.
    Ingest(ingest::Args),
    /// Every endpoint of the analytics over HTTP, on generated data.
    Reports(reports::Args),
    /// A file of all sessions, against the database's own.
    Export(export::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Ingest(args) => ingest::run(args).await,
        Bench::Reports(args) => reports::run(args).await,
        Bench::Export(args) => export::run(args).await,
    }
}
