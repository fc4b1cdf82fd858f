//! `beckon rules texts` and `beckon rules review`

use clap::Parser;
use serde_json::json;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::Review;
use crate::rules::{CompiledRule, Encoding, TextSheet, text_sheets};

#[derive(Debug, Parser)]
pub(super) struct ReviewArgs {
    rule: String,
    /// Two letters, such as es.
    language: String,
    /// Who read the texts.
    #[arg(long)]
    by: String,
    /// Why this person can judge them.
    #[arg(long)]
    qualification: String,
}

pub(super) fn show(rules: &[CompiledRule], only: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let rules: Vec<&CompiledRule> = rules.iter().filter(|it| only.is_none_or(|id| it.id().as_str() == id)).collect();
    let sheets: Vec<(&CompiledRule, TextSheet)> =
        rules.iter().flat_map(|rule| text_sheets(rule).into_iter().map(move |sheet| (*rule, sheet))).collect();
    if as_json {
        let rows: Vec<_> = sheets.iter().map(|(rule, it)| as_value(rule, it)).collect();
        return output::json(&rows);
    }
    let rows: Vec<Vec<String>> = sheets
        .iter()
        .map(|(rule, it)| {
            vec![
                rule.id().to_string(),
                format!("{}.{}.{}", it.language, it.channel, it.variant),
                it.text.chars().count().to_string(),
                it.segments
                    .as_ref()
                    .map_or_else(String::new, |size| format!("{} {}", size.segments, encoding(size.encoding))),
                it.reading.map_or_else(|| "not measured".to_owned(), |level| level.words()),
                review_words(it.review.as_ref()),
            ]
        })
        .collect();
    output::table(&["RULE", "TEXT", "LETTERS", "SMS PARTS", "READING", "READ OVER BY"], &rows, "There are no texts.");
    if only.is_some() {
        for (_, it) in &sheets {
            println!("\n{}.{}.{}\n{}", it.language, it.channel, it.variant, it.text);
        }
    }
    Ok(())
}

fn as_value(rule: &CompiledRule, it: &TextSheet) -> serde_json::Value {
    json!({
        "rule": rule.id(), "language": it.language, "channel": it.channel, "variant": it.variant, "text": it.text,
        "sms": it.segments.as_ref().map(|size| json!({ "parts": size.segments, "encoding": encoding(size.encoding) })),
        "reading": it.reading.map(|level| json!({ "level": level.words(), "easy": level.is_easy() })),
        "review": it.review,
    })
}

const fn encoding(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gsm7 => "GSM-7",
        Encoding::Ucs2 => "UCS-2",
    }
}

fn review_words(review: Option<&Review>) -> String {
    match review {
        None | Some(Review::Original) => "original".to_owned(),
        Some(Review::None) => "nobody yet".to_owned(),
        Some(Review::By { reviewer, on, .. }) => format!("{reviewer}, {on}"),
    }
}

pub(super) async fn review(at: &At, rules: &[CompiledRule], args: ReviewArgs) -> Result<(), Failure> {
    let Some(rule) = rules.iter().find(|it| it.id().as_str() == args.rule) else {
        let known: Vec<&str> = rules.iter().map(|it| it.id().as_str()).collect();
        return Err(Failure::Problem(format!(
            "no usable rule is called {}; there are: {}",
            args.rule,
            known.join(", ")
        )));
    };
    let Some(texts) = rule.text_version(&args.language) else {
        let known: Vec<&str> = rule.languages().collect();
        return Err(Failure::Problem(format!(
            "{} has no texts in {}; there are: {}",
            args.rule,
            args.language,
            known.join(", ")
        )));
    };
    for (what, text) in [("--by", &args.by), ("--qualification", &args.qualification)] {
        if text.trim().chars().count() < 3 {
            return Err(Failure::Usage(format!("{what} must name somebody who answers for the texts")));
        }
    }
    let opened = at.open().await?;
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    tx.record_text_review(rule.id(), &args.language, texts, args.by.trim(), args.qualification.trim(), &actor())
        .await
        .map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    println!(
        "{} may go out in {}: read over by {}. A change of its texts asks for a new review.",
        args.rule,
        args.language,
        args.by.trim()
    );
    Ok(())
}
