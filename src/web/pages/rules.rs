//! The rules: which version is live and who stands behind it, what waits for a second pair of eyes, and what changed.

use askama::Template;

use super::event_words::who_text;
use super::sending::{confirm, is_confirmed};
use crate::domain::{
    EhrId, ResourceKey, ResourceType, RuleAct, RuleChange, RuleId, RuleStage, RuleVersionId, may_go_live, may_revert,
    may_review,
};
use crate::fhir::read;
use crate::rules::{DiffLine, diff, text_of};
use crate::store::RuleVersionLine;
use crate::web::answer::{Answer, page, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, address, moment};

const PATH: &str = "/rules";

/// Places that are listed of one EHR; the command line takes any.
const PLACES: usize = 100;

struct RuleRow {
    href: String,
    title: String,
    id: String,
    live: String,
    badge: Badge,
    waiting: String,
}

#[derive(Template)]
#[template(path = "rules.html")]
struct RulesPage {
    shell: Shell,
    rows: Vec<RuleRow>,
}

struct VersionRow {
    version: String,
    short: String,
    badge: Badge,
    added: String,
    can_review: bool,
    can_live: bool,
    can_revert: bool,
    why_not: Option<String>,
    compare: Option<String>,
}

struct ClinicRow {
    ehr: String,
    location: String,
    name: String,
    badge: Badge,
    note: String,
    on: bool,
    set: bool,
}

struct ChangeRow {
    at: String,
    what: String,
    version: String,
    who: String,
    note: String,
}

#[derive(Template)]
#[template(path = "rule.html")]
struct RulePage {
    shell: Shell,
    home: String,
    done: Option<&'static str>,
    by_settings: bool,
    live: bool,
    can_act: bool,
    versions: Vec<VersionRow>,
    clinics: Vec<ClinicRow>,
    compared: Option<String>,
    lines: Vec<DiffLine>,
    text: String,
    changes: Vec<ChangeRow>,
}

/// `GET /rules`
pub async fn rules(call: Call) -> Answer {
    let view = call.state.view();
    let versions = view.rule_versions(None).await?;
    let changes = view.rule_changes(None).await?;
    let mut rows = Vec::new();
    let mut rest = versions.as_slice();
    while let Some(newest) = rest.first() {
        let id = &newest.rule.id;
        let (of_rule, others) = rest.split_at(rest.iter().take_while(|it| it.rule.id == *id).count());
        rest = others;
        let live = of_rule.iter().find(|it| it.stage == RuleStage::Live);
        rows.push(RuleRow {
            href: format!("{PATH}/{id}"),
            title: live.unwrap_or(newest).rule.title.clone(),
            id: id.to_string(),
            live: live.map_or_else(String::new, |it| short(&it.rule.version)),
            badge: live.map_or(Badge { tone: "quiet", icon: "minus", word: "Not live" }, |it| {
                live_badge(&it.rule.version, &changes)
            }),
            waiting: match newest.stage {
                RuleStage::Draft if live.is_some() => "A newer version waits for a review.".to_owned(),
                RuleStage::Reviewed => "A reviewed version waits to be made live.".to_owned(),
                _ => String::new(),
            },
        });
    }
    page(&RulesPage { shell: Shell::of(&call, "Rules", PATH).await?, rows })
}

/// `GET /rules/{rule}`
pub async fn rule(call: Call) -> Answer {
    let id = RuleId::new(call.path("rule"));
    let view = call.state.view();
    let versions = view.rule_versions(Some(&id)).await?;
    let newest = versions.first().ok_or(WebError::NotFound)?;
    let changes = view.rule_changes(Some(&id)).await?;
    let home = format!("{PATH}/{id}");
    let live = versions.iter().find(|it| it.stage == RuleStage::Live);
    let shown = chosen(&versions, call.query("version")).unwrap_or_else(|| live.unwrap_or(newest));
    let against = chosen(&versions, call.query("against"));
    let zone = call.state.zone();
    let actor = call.actor()?;
    let live_version = live.map(|it| it.rule.version.clone());
    let row = |it: &RuleVersionLine| {
        let version = &it.rule.version;
        let review = may_review(version, live_version.as_ref(), &changes, &actor);
        let go_live = may_go_live(version, live_version.as_ref(), &changes, &actor);
        let why_not = match it.stage {
            RuleStage::Draft => review.as_ref().err(),
            RuleStage::Reviewed => go_live.as_ref().err(),
            RuleStage::Live | RuleStage::Former => None,
        };
        VersionRow {
            version: version.to_string(),
            short: short(version),
            badge: stage_badge(it.stage, version, &changes),
            added: format!("{}, {}", who_text(&it.added_by), moment(it.added_at, zone)),
            can_review: review.is_ok(),
            can_live: go_live.is_ok() && it.stage == RuleStage::Reviewed,
            can_revert: it.stage == RuleStage::Former
                && may_revert(version, live_version.as_ref(), &changes, &actor).is_ok(),
            why_not: why_not.map(|error| sentence(&error.to_string())),
            compare: live
                .filter(|live| live.rule.version != *version)
                .map(|live| address(&home, &[("version", version.as_str()), ("against", live.rule.version.as_str())])),
        }
    };
    page(&RulePage {
        shell: Shell::of(&call, shown.rule.title.clone(), PATH).await?,
        done: done_words(call.query("done")),
        by_settings: live.is_some_and(|it| is_by_settings(&it.rule.version, &changes)),
        live: live.is_some(),
        can_act: call.has(crate::domain::Role::Admin) || call.has(crate::domain::Role::Clinician),
        versions: versions.iter().map(row).collect(),
        clinics: clinics(&call, &id).await?,
        compared: against.map(|it| format!("{} against {}", short(&shown.rule.version), short(&it.rule.version))),
        lines: against.map(|it| diff(&it.rule, &shown.rule)).unwrap_or_default(),
        text: text_of(&shown.rule),
        changes: changes
            .iter()
            .rev()
            .map(|it| ChangeRow {
                at: moment(it.at, zone),
                what: act_words(it.act).to_owned(),
                version: short(&it.version),
                who: who_text(&it.by),
                note: it.note.clone().unwrap_or_default(),
            })
            .collect(),
        home,
    })
}

/// The places of every EHR and the organisation as a whole, each with what is set for the rule there.
async fn clinics(call: &Call, rule: &RuleId) -> Result<Vec<ClinicRow>, WebError> {
    let view = call.state.view();
    let mut rows = Vec::new();
    for ehr in view.ehrs().await? {
        let defaults = view.clinic_defaults(&ehr.id).await?;
        let row = |location: Option<String>, name: String| {
            let set = defaults.iter().find(|it| it.rule == *rule && it.location == location);
            let on = set.is_none_or(|it| it.on);
            ClinicRow {
                ehr: ehr.id.to_string(),
                name,
                badge: match set.map(|it| it.on) {
                    Some(true) => Badge { tone: "arrived", icon: "check", word: "On" },
                    Some(false) => Badge { tone: "quiet", icon: "cross", word: "Off" },
                    None => Badge { tone: "quiet", icon: "minus", word: "Not set" },
                },
                note: set.map_or_else(String::new, |it| {
                    format!("Set by {}, {}.", who_text(&it.by), moment(it.at, call.state.zone()))
                }),
                on,
                set: set.is_some(),
                location: location.unwrap_or_default(),
            }
        };
        rows.push(row(None, format!("Everywhere at {}", ehr.id)));
        let now = call.state.now();
        for place in view.mirror_of_type(&ehr.id, ResourceType::Location).await?.iter().take(PLACES) {
            let id = place.version.key.id.clone();
            let name = read::location(&place.body, now).value.and_then(|it| it.name).unwrap_or_else(|| id.clone());
            rows.push(row(Some(id), name));
        }
    }
    Ok(rows)
}

/// `POST /rules/{rule}/clinics`: on or off for everybody who comes to a place.
pub async fn set_clinic(call: Call) -> Answer {
    let rule = RuleId::new(call.path("rule"));
    let view = call.state.view();
    let ehr = EhrId::new(call.field("ehr"));
    let is_known = view.ehrs().await?.iter().any(|it| it.id == ehr);
    if !is_known || view.rule_versions(Some(&rule)).await?.is_empty() {
        return Err(WebError::NotFound);
    }
    let location = Some(call.field("location")).filter(|location| !location.is_empty());
    if let Some(id) = location
        && view.mirror_resource(&ehr, &ResourceKey::new(ResourceType::Location, id)).await?.is_none()
    {
        return Err(WebError::NotFound);
    }
    let on = match call.field("state") {
        "on" => Some(true),
        "off" => Some(false),
        "unset" => None,
        _ => {
            return Err(WebError::BadInput(
                "It is not said whether on or off.".to_owned(),
                "Choose one and try again.",
            ));
        }
    };
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.set_clinic_default(&ehr, location, &rule, on, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect(&format!("{PATH}/{rule}?done=clinic")))
}

/// `POST /rules/{rule}/review`
pub async fn review(call: Call) -> Answer {
    let (rule, version, note) = asked(&call)?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.review_rule(&rule, &version, note.as_deref(), &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect(&format!("{PATH}/{rule}?done=review")))
}

/// `POST /rules/{rule}/live`
pub async fn make_live(call: Call) -> Answer {
    let (rule, version, note) = asked(&call)?;
    if !is_confirmed(&call) {
        return confirm(
            &call,
            format!("Make version {} of {rule} live?", short(&version)),
            "From then on it plans and, where sending is live, sends to patients. Try it first: beckon simulate.",
            format!("{PATH}/{rule}/live"),
            vec![("version", version.to_string()), ("note", note.unwrap_or_default())],
            "Yes, make it live",
        )
        .await;
    }
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.make_rule_live(&rule, &version, note.as_deref(), &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect(&format!("{PATH}/{rule}?done=live")))
}

/// `POST /rules/{rule}/revert`: back to what was live before, at once.
pub async fn revert(call: Call) -> Answer {
    let (rule, version, note) = asked(&call)?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.revert_rule(&rule, &version, note.as_deref(), &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect(&format!("{PATH}/{rule}?done=revert")))
}

/// `POST /rules/{rule}/retire`
pub async fn retire(call: Call) -> Answer {
    let rule = RuleId::new(call.path("rule"));
    let note = note(&call)?;
    if !is_confirmed(&call) {
        return confirm(
            &call,
            format!("Take {rule} out of use?"),
            "What it has planned is cancelled, and it plans nothing any more until a version is made live again.",
            format!("{PATH}/{rule}/retire"),
            vec![("note", note.unwrap_or_default())],
            "Yes, take it out of use",
        )
        .await;
    }
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.retire_rule(&rule, note.as_deref(), &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect(&format!("{PATH}/{rule}?done=retire")))
}

fn asked(call: &Call) -> Result<(RuleId, RuleVersionId, Option<String>), WebError> {
    let version = call.field("version");
    if version.is_empty() {
        return Err(WebError::BadInput("It is not said which version.".to_owned(), "Go back and choose one."));
    }
    Ok((RuleId::new(call.path("rule")), RuleVersionId::new(version), note(call)?))
}

fn note(call: &Call) -> Result<Option<String>, WebError> {
    let note = call.field("note");
    if note.chars().count() > 500 {
        return Err(WebError::BadInput(
            "The note is longer than 500 characters.".to_owned(),
            "Go back and shorten it; do not name patients.",
        ));
    }
    Ok((!note.is_empty()).then(|| note.to_owned()))
}

fn chosen<'v>(versions: &'v [RuleVersionLine], version: &str) -> Option<&'v RuleVersionLine> {
    versions.iter().find(|it| it.rule.version.as_str() == version)
}

fn short(version: &RuleVersionId) -> String {
    version.as_str().chars().take(12).collect()
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Whether nobody but the settings stands behind a live version.
fn is_by_settings(version: &RuleVersionId, changes: &[RuleChange]) -> bool {
    !changes.iter().any(|it| it.version == *version && it.act == RuleAct::Reviewed)
}

fn live_badge(version: &RuleVersionId, changes: &[RuleChange]) -> Badge {
    let mut of_version = changes.iter().filter(|it| it.version == *version);
    if of_version.any(|it| it.act == RuleAct::Reviewed) {
        Badge { tone: "arrived", icon: "check", word: "Live" }
    } else {
        Badge { tone: "needs", icon: "warn", word: "Live, not reviewed" }
    }
}

fn stage_badge(stage: RuleStage, version: &RuleVersionId, changes: &[RuleChange]) -> Badge {
    match stage {
        RuleStage::Draft => Badge { tone: "planned", icon: "clock", word: "Draft" },
        RuleStage::Reviewed => Badge { tone: "moving", icon: "check", word: "Reviewed" },
        RuleStage::Live => live_badge(version, changes),
        RuleStage::Former => Badge { tone: "quiet", icon: "minus", word: "Was live" },
    }
}

const fn act_words(act: RuleAct) -> &'static str {
    match act {
        RuleAct::Drafted => "Came in as a draft",
        RuleAct::Reviewed => "Reviewed",
        RuleAct::Live => "Made live",
        RuleAct::Reverted => "Made live again",
        RuleAct::Retired => "Taken out of use",
    }
}

fn done_words(code: &str) -> Option<&'static str> {
    match code {
        "review" => Some("The review is recorded. Somebody else can make the version live now."),
        "live" => Some("The version is live. The patients whom it may concern are planned anew."),
        "revert" => Some("The earlier version is live again. The patients whom it may concern are planned anew."),
        "clinic" => Some("The clinic's default is set. Whom it may concern is planned anew."),
        "retire" => Some("The rule is out of use. What it had planned is cancelled."),
        _ => None,
    }
}
