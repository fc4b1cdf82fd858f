//! How fast due reminders go out as mail, with decision, history, sealing and queued write-back: beside the same mail
//! client without any of it, and beside a mail relay that keeps its queue on disk.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::Tell;
use super::corpus::PAGE;
use super::house::{BenchDatabase, House, Place};
use super::meter::{Cost, CpuTime, Meter};
use super::sink::Sink;
use super::world::{self, Ehr};
use crate::app::AppError;
use crate::channels::{EmailChannel, OutboundEmail};
use crate::config::Smtp;
use crate::domain::{Actor, Channel, EmailAddress, MessageBody, Outcome, Phi, ResourceType, RuleVersionId};
use crate::ehr::clients::Clients;
use crate::ehr::retry::RealSleeper;
use crate::outbox::{Outbox, ProviderError, Providers, Stage, Watch};
use crate::pull::{self, Destination, Mode, PullOptions, TypeReport};
use crate::rules::{self, CompiledRule};
use crate::store::SendMode;

/// Mails under way at once, with and without the gateway.
const CONNECTIONS: usize = 16;
/// A relay that brings nothing for this long has stopped.
const RELAY_SILENCE: Duration = Duration::from_secs(20);

/// What to measure.
#[derive(Debug, Clone)]
pub struct SendInput {
    pub messages: u32,
    /// Ask a simulated EHR for Patient and Appointment before each message, as the product does; else the rule is
    /// allowed to rest on the mirror.
    pub reread: bool,
    /// A mail relay that forwards everything to `127.0.0.1:sink_port`.
    pub relay: Option<SocketAddr>,
    pub sink_port: u16,
}

/// The gateway beside others.
#[derive(Debug, Clone, Serialize)]
pub struct SendFigures {
    pub messages: u32,
    pub database: &'static str,
    pub reread: bool,
    pub cost: Cost,
    pub messages_per_second: f64,
    pub cpu_micros_each: f64,
    pub stages: Vec<StageFigures>,
    pub ehr_requests: Option<usize>,
    /// The same mail client, nothing else.
    pub bare: SideFigures,
    pub share_of_bare: f64,
    /// The relay from its first byte taken to its last mail handed on.
    pub relay: Option<SideFigures>,
    pub times_relay: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct StageFigures {
    pub stage: &'static str,
    pub seconds: f64,
    pub wall_micros_each: f64,
    pub cpu_micros_each: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct SideFigures {
    pub cost: Cost,
    pub messages_per_second: f64,
    pub cpu_micros_each: f64,
}

/// Measures on one database.
pub async fn send(
    input: &SendInput,
    database: &BenchDatabase,
    place: &Place,
    tell: Tell<'_>,
) -> Result<SendFigures, AppError> {
    let sink = Sink::start(input.sink_port)?;
    let settings = format!(
        "[smtp]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"plain-loopback\"\nfrom = \
         \"reminders@willow-creek.example\"\nfrom_name = \"Willow Creek Clinic\"\nconnections = {CONNECTIONS}\n",
        sink.port
    );
    let house = House::build(database, place, &settings).await?;
    let rule = rule(input.reread)?;
    house.publish(std::slice::from_ref(&rule)).await?;
    tell(&format!("planning {} reminders", input.messages));
    prepare(&house, input.messages).await?;
    let ehr = if input.reread {
        tell("filling the EHR");
        Some(Ehr::start(&house, input.messages).await?)
    } else {
        None
    };
    let smtp = house.settings.smtp.clone().ok_or_else(|| AppError::BenchSettings("no [smtp]".to_owned()))?;
    tell("sending without the gateway");
    let body = rules::render_sample(&rule, "en", Channel::Email, "unconfirmed")
        .map_err(|error| AppError::Bench(error.to_string()))?;
    let bare = bare(&smtp, &body, input.messages, &sink).await?;
    let relay = match input.relay {
        Some(address) => {
            tell("sending through the relay");
            Some(relay(&smtp, address, &body, input.messages, &sink).await?)
        }
        None => None,
    };
    tell("sending with the gateway");
    let (cost, stages) = gateway(&house, input.messages, &sink).await?;
    let figures = SendFigures {
        messages: input.messages,
        database: database.name(),
        reread: input.reread,
        cost,
        messages_per_second: cost.rate(input.messages.into()),
        cpu_micros_each: cost.micros_each(input.messages.into()),
        stages,
        ehr_requests: ehr.as_ref().map(Ehr::requests),
        share_of_bare: bare.cost.seconds / cost.seconds,
        times_relay: relay.as_ref().map(|relay| relay.cost.seconds / cost.seconds),
        bare,
        relay,
    };
    house.remove().await?;
    Ok(figures)
}

/// The appointment reminder as it ships; without an EHR to ask it may rest on the mirror.
fn rule(reread: bool) -> Result<CompiledRule, AppError> {
    let (rules, _) = rules::starter_rules();
    let starter = rules.into_iter().find(|rule| rule.id().as_str() == "appointment-reminder");
    let starter = starter.ok_or_else(|| AppError::NoSuchRule("appointment-reminder".to_owned()))?;
    if reread {
        return Ok(starter);
    }
    let mut rule = starter.rule().clone();
    rule.stale_ok = true;
    rule.version = RuleVersionId::new("bench");
    CompiledRule::compile(rule).map_err(|_| AppError::Bench("the changed rule does not compile".to_owned()))
}

/// Patients and appointments into the mirror, reminders planned, and the clock moved to where they are due.
async fn prepare(house: &House, people: u32) -> Result<(), AppError> {
    let run = house.begin_run().await?;
    let destination = Destination { store: &house.store, tenant: &house.tenant, ehr: &house.ehr, run, region: "US" };
    let mut asked = HashSet::new();
    for kind in [ResourceType::Location, ResourceType::Patient, ResourceType::Appointment] {
        let mut resources = world::all(kind, people);
        loop {
            let page: Vec<_> = resources.by_ref().take(PAGE).collect();
            if page.is_empty() {
                break;
            }
            destination.page(kind, &page, &mut asked, &mut TypeReport::default()).await?;
        }
        house.complete(kind, run).await?;
    }
    let options = PullOptions::new(&house.settings, Mode::Full, "bench");
    let counts = pull::plan_due(&house.store, &house.tenant, &house.ehr, &options, &|_| {}).await?;
    if counts.patients != people as usize {
        return Err(AppError::Bench(format!("{} of {people} patients were planned", counts.patients)));
    }
    let mut tx = house.store.write(&house.tenant).await?;
    tx.set_send_mode(SendMode::Live, &Actor::system("bench")).await?;
    tx.commit().await?;
    house.clock.move_to(world::due_at() + TimeDelta::minutes(1));
    // Nobody has consent records here, and that is known freshly: without an EHR to ask, reminders would wait.
    let run = house.begin_run().await?;
    house.complete(ResourceType::Consent, run).await?;
    Ok(())
}

async fn gateway(house: &House, messages: u32, sink: &Sink) -> Result<(Cost, Vec<StageFigures>), AppError> {
    let providers = Arc::new(Providers::from_settings(&house.settings)?);
    let clients = Clients::new(house.store.clone(), house.tenant.clone(), Arc::new(RealSleeper));
    let watch = Arc::new(StageWatch::default());
    let outbox = Outbox::new(house.store.clone(), house.tenant.clone(), house.settings.clone(), providers, clients);
    let outbox = outbox.watched_by(watch.clone());
    let before = sink.taken();
    let meter = Meter::start();
    watch.begin();
    loop {
        let (decided, _) = outbox.release_due().await?;
        if decided == 0 {
            break;
        }
    }
    let cost = meter.stop();
    let taken = sink.taken() - before;
    let view = house.store.view(&house.tenant);
    let (counted, queued) = (view.count_messages(&house.ehr).await?, view.count_write_backs(&house.ehr).await?);
    let on_the_way = counted.get("email").and_then(|states| states.get("on_its_way")).copied().unwrap_or(0);
    let pending = queued.get("pending").copied().unwrap_or(0);
    let all = u64::from(messages);
    if (taken, on_the_way, pending) != (all, all, all) {
        let reminders = view.count_reminders(&house.ehr).await?;
        return Err(AppError::Bench(format!(
            "of {all} mails {taken} arrived, {on_the_way} are known as sent, {pending} wait to be written back; \
             reminders: {reminders:?}"
        )));
    }
    Ok((cost, watch.figures(all)))
}

/// The mail client alone, with as many connections.
async fn bare(smtp: &Smtp, body: &MessageBody, messages: u32, sink: &Sink) -> Result<SideFigures, AppError> {
    let before = sink.taken();
    let meter = Meter::start();
    blast(smtp, body, messages).await?;
    let cost = meter.stop();
    if sink.taken() - before != u64::from(messages) {
        return Err(AppError::Bench("not every bare mail arrived".to_owned()));
    }
    Ok(side(cost, messages))
}

/// The same mails into the relay, until the last one has come out at its other end.
async fn relay(
    smtp: &Smtp,
    address: SocketAddr,
    body: &MessageBody,
    messages: u32,
    sink: &Sink,
) -> Result<SideFigures, AppError> {
    let smtp = Smtp { host: address.ip().to_string(), port: address.port(), ..smtp.clone() };
    let before = sink.taken();
    let meter = Meter::start();
    blast(&smtp, body, messages).await?;
    let mut last = (sink.taken(), Instant::now());
    while sink.taken() - before < u64::from(messages) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if sink.taken() > last.0 {
            last = (sink.taken(), Instant::now());
        } else if last.1.elapsed() > RELAY_SILENCE {
            let brought = sink.taken() - before;
            return Err(AppError::Bench(format!("the relay brought {brought} of {messages} mails, then nothing")));
        }
    }
    Ok(side(meter.stop(), messages))
}

async fn blast(smtp: &Smtp, body: &MessageBody, messages: u32) -> Result<(), AppError> {
    let email = EmailChannel::new(smtp).map_err(ProviderError::Email)?;
    let date = world::due_at();
    let mails = stream::iter(0..messages).map(|number| {
        let email = &email;
        async move {
            let to = EmailAddress::parse(&format!("ada.{number}@example.org"))
                .map_err(|_| AppError::Bench("the bench's own address is wrong".to_owned()))?;
            let outcome = email
                .send(&OutboundEmail {
                    to: &to,
                    subject: body.subject.as_ref().unwrap_or(&Phi::default()),
                    text: &body.text,
                    html: body.html.as_ref(),
                    message_id: &format!("<{number}@willow-creek.example>"),
                    list_unsubscribe: None,
                    envelope_from: None,
                    date,
                })
                .await;
            match outcome {
                Outcome::Accepted { .. } => Ok(()),
                other => Err(AppError::Bench(format!("a bare mail was not taken: {other:?}"))),
            }
        }
    });
    let mut sent = mails.buffer_unordered(CONNECTIONS);
    while let Some(result) = sent.next().await {
        result?;
    }
    Ok(())
}

fn side(cost: Cost, messages: u32) -> SideFigures {
    SideFigures {
        cost,
        messages_per_second: cost.rate(messages.into()),
        cpu_micros_each: cost.micros_each(messages.into()),
    }
}

/// Adds up what each stage takes, over all batches.
#[derive(Debug, Default)]
struct StageWatch(Mutex<Laps>);

#[derive(Debug, Default)]
struct Laps {
    last: Option<Instant>,
    cpu: CpuTime,
    sums: BTreeMap<Stage, (Duration, u64)>,
}

impl StageWatch {
    fn begin(&self) {
        let mut laps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        laps.last = Some(Instant::now());
        laps.cpu.lap();
    }

    fn figures(&self, messages: u64) -> Vec<StageFigures> {
        let laps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = Stage::ALL.into_iter().filter_map(|stage| {
            let (wall, cpu) = laps.sums.get(&stage)?;
            Some(StageFigures {
                stage: stage.as_str(),
                seconds: wall.as_secs_f64(),
                wall_micros_each: wall.as_secs_f64() * 1e6 / messages as f64,
                cpu_micros_each: *cpu as f64 / 1e3 / messages as f64,
            })
        });
        figures.collect()
    }
}

impl Watch for StageWatch {
    fn ended(&self, stage: Stage) {
        let mut laps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let wall = laps.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        let cpu = laps.cpu.lap();
        let sum = laps.sums.entry(stage).or_default();
        sum.0 += wall;
        sum.1 += cpu;
    }
}
