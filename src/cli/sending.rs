//! `beckon send-mode`, `beckon halt`, `beckon resume`

use clap::Parser;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::{Channel, RuleId};
use crate::store::{HaltScope, SendMode};

/// Examples: beckon send-mode          beckon send-mode test
#[derive(Debug, Parser)]
pub(super) struct ModeArgs {
    /// off, test or live; without it the mode is shown.
    #[arg(value_parser = ["off", "test", "live"])]
    mode: Option<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Parser)]
struct Scope {
    /// Only this rule.
    #[arg(long, conflicts_with = "channel")]
    rule: Option<String>,
    /// Only this channel.
    #[arg(long, value_parser = ["email", "sms", "voice", "pickup", "in_person"])]
    channel: Option<String>,
}

impl Scope {
    fn parse(&self) -> HaltScope {
        match (&self.rule, self.channel.as_deref().and_then(Channel::parse)) {
            (Some(rule), _) => HaltScope::Rule(RuleId::new(rule.clone())),
            (None, Some(channel)) => HaltScope::Channel(channel),
            (None, None) => HaltScope::Everything,
        }
    }
}

/// Examples: beckon halt --reason "wrong template"          beckon halt --channel sms --reason "provider trouble"
#[derive(Debug, Parser)]
pub(super) struct HaltArgs {
    #[command(flatten)]
    scope: Scope,
    /// Why; everybody sees it on the page.
    #[arg(long)]
    reason: String,
}

/// Examples: beckon resume          beckon resume --rule appointment-reminder          beckon resume --hold
#[derive(Debug, Parser)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    scope: Scope,
    /// Let go what the flood guard holds.
    #[arg(long, conflicts_with_all = ["rule", "channel"])]
    hold: bool,
}

pub(super) async fn mode(at: &At, args: ModeArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    if let Some(mode) = args.mode.as_deref().and_then(SendMode::parse) {
        let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
        tx.set_send_mode(mode, &actor()).await.map_err(Failure::remote)?;
        tx.commit().await.map_err(Failure::remote)?;
    }
    let sending = opened.store.view(&opened.tenant).sending().await.map_err(Failure::remote)?;
    if args.json {
        return output::json(&sending);
    }
    println!("Send mode: {}", sending.mode.as_str());
    if let Some(since) = sending.held_at {
        println!(
            "Held by the flood guard since {}; look, then: beckon resume --hold",
            since.format("%Y-%m-%d %H:%M UTC")
        );
    }
    for halt in &sending.halts {
        let since = halt.at.format("%Y-%m-%d %H:%M UTC");
        println!("Halted: {}, by {} since {since}: {}", halt.scope.in_words(), halt.by, halt.reason);
    }
    Ok(())
}

pub(super) async fn halt(at: &At, args: HaltArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    tx.halt(&args.scope.parse(), &args.reason, &actor()).await.map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    println!("Halted. No replica calls a provider for it any more.");
    Ok(())
}

pub(super) async fn resume(at: &At, args: ResumeArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    let done = if args.hold {
        tx.release_flood(&actor()).await.map_err(Failure::remote)?
    } else {
        tx.resume(&args.scope.parse(), &actor()).await.map_err(Failure::remote)?
    };
    tx.commit().await.map_err(Failure::remote)?;
    if done {
        println!("Sending goes on.");
        Ok(())
    } else {
        Err(Failure::Problem("there was no such halt; `beckon send-mode` shows what stands".to_owned()))
    }
}
