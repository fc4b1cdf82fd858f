//! Testing a connection from end to end, and saying what to do about what is wrong.

use std::collections::BTreeMap;

use crate::domain::ResourceType;
use crate::fhir::capability::Capability;
use crate::fhir::release::Release;

use super::client::FhirClient;
use super::discovery::DiscoveryError;
use super::offer::{OPTIONAL, Offer};
use super::plan::{Ask, CapabilityPlan, Changes, Guard, Notices};
use super::scopes::Access;
use super::search::Search;
use super::token::AccessToken;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Good,
    /// It works, but somebody should look at it.
    Doubtful,
    Bad,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    pub what: String,
    pub health: Health,
    /// What was found, without PHI.
    pub found: String,
    /// What to do about it.
    pub advice: Vec<String>,
}

/// Everything that was checked, in order; after a failure that makes the rest pointless, the rest is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Report {
    pub lines: Vec<Line>,
}

impl Report {
    pub fn health(&self) -> Health {
        self.lines.iter().map(|line| line.health).max().unwrap_or(Health::Bad)
    }

    fn add(&mut self, what: impl Into<String>, health: Health, found: impl Into<String>) -> &mut Line {
        self.lines.push(Line { what: what.into(), health, found: found.into(), advice: Vec::new() });
        let last = self.lines.len() - 1;
        &mut self.lines[last]
    }
}

/// Types without which no reminder can be made.
const NEEDED: [ResourceType; 2] = [ResourceType::Patient, ResourceType::Appointment];

/// Discovery, clocks, token, granted scopes, capabilities, one small search of each type that is searched as a whole,
/// and the way of writing back. Reads one resource of each such type at most, and writes nothing.
pub async fn test(client: &FhirClient) -> Report {
    let mut report = Report::default();
    if !discovery(client, &mut report).await {
        return report;
    }
    client.tokens().close_circuit().await;
    let token = match client.tokens().get().await {
        Ok(token) => token,
        Err(error) => {
            let line = report.add("token", Health::Bad, error.to_string());
            line.advice = error.advice().iter().map(ToString::to_string).collect();
            return report;
        }
    };
    report.add("token", Health::Good, format!("granted for {} s", token.life().as_secs()));
    scopes(&token, &mut report);
    let capability = match client.capability().await {
        Ok(capability) => capability,
        Err(error) => {
            report.add("capabilities", Health::Bad, error.to_string());
            return report;
        }
    };
    version(&capability, &mut report);
    let plan = CapabilityPlan::derive(client.connection(), &capability);
    for kind in [ResourceType::Patient, ResourceType::Appointment, ResourceType::Condition, ResourceType::Location] {
        pull_of(client, &plan, kind, &mut report).await;
    }
    for kind in OPTIONAL {
        optional(client, &plan, &token, kind, &mut report).await;
    }
    export(&plan, &mut report);
    notices(&plan, &token, &mut report);
    write_back(&plan, &token, &mut report);
    report
}

async fn discovery(client: &FhirClient, report: &mut Report) -> bool {
    let configuration = match client.discovery().get().await {
        Ok(configuration) => configuration,
        Err(error) => {
            let line = report.add("discovery", Health::Bad, error.to_string());
            if matches!(error, DiscoveryError::Missing { .. } | DiscoveryError::NoTokenEndpoint { .. }) {
                line.advice.push("give the whole FHIR base URL, including its path, as the vendor lists it".to_owned());
            }
            return false;
        }
    };
    let alg = configuration.signing_alg(client.connection().settings.signing_alg);
    let found = format!("token endpoint {}, signing with {alg}", configuration.token_endpoint);
    let line = report.add("discovery", Health::Good, found);
    if configuration.from_metadata {
        line.health = Health::Doubtful;
        line.advice
            .push("the server has no SMART configuration; its old CapabilityStatement extension was used".into());
    }
    let methods = &configuration.auth_methods;
    if !methods.is_empty() && !methods.iter().any(|method| method == "private_key_jwt") {
        line.health = Health::Doubtful;
        line.advice.push("the server does not list private_key_jwt; ask whether it takes signed assertions".into());
    }
    if let Some(skew) = client.discovery().skew().await {
        let seconds = skew.num_seconds();
        let health = match seconds.abs() {
            0..=30 => Health::Good,
            31..=120 => Health::Doubtful,
            _ => Health::Bad,
        };
        let line = report.add("clocks", health, format!("the server's clock is {seconds:+} s from ours"));
        if health != Health::Good {
            line.advice.push("let both machines keep time by NTP; assertions live for minutes only".to_owned());
        }
    }
    true
}

fn scopes(token: &AccessToken, report: &mut Report) {
    if token.missing.is_empty() {
        report.add("scopes", Health::Good, "everything asked for was granted");
        return;
    }
    let missing: Vec<String> = token.missing.iter().map(ToString::to_string).collect();
    let needed = NEEDED.iter().all(|kind| token.granted.allows(kind.as_str(), &[Access::Read, Access::Search]));
    let health = if needed { Health::Doubtful } else { Health::Bad };
    let line = report.add("scopes", health, format!("not granted: {}", missing.join(", ")));
    line.advice
        .push("register these scopes with the EHR, or ask for fewer; what is not granted looks empty".to_owned());
}

fn version(capability: &Capability, report: &mut Report) {
    let version = capability.fhir_version.as_deref().unwrap_or("of unknown version");
    let software = capability.software.as_deref().unwrap_or("unnamed software");
    let line = report.add("capabilities", Health::Good, format!("FHIR {version}, {software}"));
    if Release::of_version(version).is_none() {
        line.health = Health::Bad;
        line.advice.push("Beckon speaks FHIR R4, R4B and R5; give the R4 base URL of this server".to_owned());
    }
}

async fn pull_of(client: &FhirClient, plan: &CapabilityPlan, kind: ResourceType, report: &mut Report) {
    let Some(of_type) = plan.of(kind) else { return };
    let (ask, changes) = (of_type.ask, of_type.changes);
    let how = ask.value.words();
    let by = match changes.value {
        Changes::LastUpdated => "changes by _lastUpdated",
        Changes::Snapshot => "changes by comparing",
    };
    let found =
        format!("{how} ({}, {}); {by} ({}, {})", ask.why, ask.source.words(), changes.why, changes.source.words());
    let line = report.add(format!("pull of {kind}"), Health::Good, found);
    if ask.value == Ask::NotOffered {
        line.health = if NEEDED.contains(&kind) { Health::Bad } else { Health::Doubtful };
        line.advice.push("if the server has it all the same, override the plan of this connection".to_owned());
    }
    if ask.value != Ask::WholeType {
        return;
    }
    if let Err(error) = client.search(Search::new(kind).with("_count", "1")).next().await {
        line.health = Health::Bad;
        line.advice.push(error.to_string());
    }
}

/// A type that the EHR need not have: what it means that it is there, or not.
async fn optional(
    client: &FhirClient,
    plan: &CapabilityPlan,
    token: &AccessToken,
    kind: ResourceType,
    report: &mut Report,
) {
    let offer = Offer::of(kind, plan, client.connection(), &token.granted);
    if offer == Offer::Searchable {
        return pull_of(client, plan, kind, report).await;
    }
    let health = if offer == Offer::NotGranted { Health::Bad } else { Health::Doubtful };
    let line = report.add(format!("pull of {kind}"), health, offer.words());
    let advice = if offer == Offer::NotGranted {
        "register the scope with the EHR; until then nothing is sent, because a denial could not be seen"
    } else {
        "a denial that stands only in the EHR is not known: record it with beckon optout add"
    };
    line.advice.push(advice.to_owned());
}

/// Whether clinical data comes in bulk, and which.
fn export(plan: &CapabilityPlan, report: &mut Report) {
    let choice = plan.export;
    let (words, why, source) = (choice.value.words(), choice.why, choice.source.words());
    let kinds: Vec<&str> = plan.exported.iter().map(|kind| kind.as_str()).collect();
    let of = if kinds.is_empty() { "; nothing needs it".to_owned() } else { format!(": {}", kinds.join(", ")) };
    report.add("bulk export", Health::Good, format!("{words} ({why}, {source}){of}"));
}

/// Whether the EHR tells of changes by itself, and of which.
fn notices(plan: &CapabilityPlan, token: &AccessToken, report: &mut Report) {
    let choice = plan.notices;
    let (words, why, source) = (choice.value.words(), choice.why, choice.source.words());
    let line = report.add("notices", Health::Good, format!("{words} ({why}, {source})"));
    if choice.value == Notices::Off {
        return;
    }
    if plan.subscriptions.is_empty() {
        line.health = Health::Doubtful;
        line.advice.push(
            "no topic about appointments or patients is offered; name one with beckon ehr set --topic".to_owned(),
        );
    } else if !token.granted.allows("Subscription", &[Access::Create]) {
        line.advice.push("not used: the scope system/Subscription.cruds was not asked for or not granted".to_owned());
    } else {
        line.found = format!("{}: {}", line.found, plan.subscriptions.join(", "));
    }
}

fn write_back(plan: &CapabilityPlan, token: &AccessToken, report: &mut Report) {
    let choice = plan.write_back;
    let found = format!("{} ({}, {})", choice.value.words(), choice.why, choice.source.words());
    let line = report.add("write-back", Health::Good, found);
    let Some(type_name) = choice.value.writes() else {
        line.health = Health::Doubtful;
        line.advice.push("what happened stays in our own ledger and is shown there".to_owned());
        return;
    };
    if !token.granted.allows(type_name, &[Access::Create]) {
        line.health = Health::Bad;
        line.advice.push(format!("the scope to create a {type_name} was not granted"));
    }
    if plan.guard == Guard::Ledger {
        line.health = line.health.max(Health::Doubtful);
        line.advice.push("this EHR cannot be searched for what was written: a lost answer needs a person".to_owned());
    } else if plan.guard == Guard::ByPatient && !token.granted.allows(type_name, &[Access::Search]) {
        line.health = Health::Bad;
        line.advice.push(format!("the scope to search {type_name} was not granted: it shows what a lost answer left"));
    }
}

/// Whom and what the roster names, and whether the plan needs it to. `named` counts by type.
pub fn roster(plan: &CapabilityPlan, named: &BTreeMap<String, u64>) -> Line {
    let count = |kind: ResourceType| named.get(kind.as_str()).copied().unwrap_or(0);
    let ask = |kind| plan.of(kind).map_or(Ask::NotOffered, |of_type| of_type.ask.value);
    let parts: Vec<String> = named.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let mut line = Line {
        what: "roster".to_owned(),
        health: Health::Good,
        found: if parts.is_empty() { "names nobody".to_owned() } else { format!("names {}", parts.join(", ")) },
        advice: Vec::new(),
    };
    let mut needs = |wanted: bool, health: Health, advice: &str| {
        if wanted {
            line.health = line.health.max(health);
            line.advice.push(advice.to_owned());
        }
    };
    let by_patient = ask(ResourceType::Appointment) == Ask::ByPatient && ask(ResourceType::Patient) != Ask::WholeType;
    needs(
        by_patient && count(ResourceType::Patient) + count(ResourceType::Group) == 0,
        Health::Bad,
        "this EHR lists neither patients nor appointments: name a Group that the hospital keeps, or the patients, with \
         beckon ehr roster import",
    );
    needs(
        ask(ResourceType::Appointment) == Ask::ByLocationDay && count(ResourceType::Location) == 0,
        Health::Bad,
        "appointments are found by location: name the locations with beckon ehr roster import",
    );
    needs(
        ask(ResourceType::Appointment) == Ask::ById && count(ResourceType::Appointment) == 0,
        Health::Bad,
        "appointments are found by id only: hand over the hospital's list of them with beckon ehr roster import, once \
         where notices tell of new ones, else at least once a day",
    );
    line
}
