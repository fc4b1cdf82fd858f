//! `beckon serve`

use clap::{Parser, ValueEnum};

use super::Failure;
use super::open::At;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Pages, API and webhooks only.
    Web,
    /// Pulling, deciding, sending and writing back only.
    Worker,
    All,
}

/// Example: beckon serve --config /etc/beckon.toml
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[arg(long, value_enum, default_value = "all")]
    role: Role,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let gateway = at.gateway().await?;
    println!("Beckon listens on {}", gateway.settings.server.listen);
    let (web, worker) = (args.role != Role::Worker, args.role != Role::Web);
    gateway.serve(web, worker).await.map_err(Failure::remote)
}
