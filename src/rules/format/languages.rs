//! Who read the texts of each language over.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::domain::Review;

use super::super::problem::did_you_mean;
use super::reader::{Reader, Table};

pub(super) fn reviews(
    reader: &mut Reader<'_>,
    top: &Table<'_>,
    templates: &BTreeMap<String, String>,
) -> BTreeMap<String, Review> {
    let mut reviews = BTreeMap::new();
    let Some(table) = reader.optional_table(top, "language") else { return reviews };
    let written: BTreeSet<&str> = templates.keys().filter_map(|file| file.split('.').next()).collect();
    for (language, line) in reader.keys(&table) {
        let Some(of) = reader.optional_table(&table, &language) else { continue };
        reader.known_keys(&of, &["review"]);
        if !written.contains(language.as_str()) {
            let hint = did_you_mean(&language, written.iter().copied()).or_else(|| {
                Some(format!("there are texts in: {}", written.iter().copied().collect::<Vec<_>>().join(", ")))
            });
            reader.error(line, format!("no text is in \"{language}\""), hint);
        }
        if let Some(review) = review(reader, &of) {
            reviews.insert(language, review);
        }
    }
    reviews
}

fn review(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Review> {
    if let Some(by) = Reader::table_quietly(table, "review") {
        reader.known_keys(&by, &["by", "qualification", "on"]);
        let reviewer = reader.text(&by, "by");
        let qualification = reader.text(&by, "qualification");
        let on = reader.text(&by, "on")?;
        let Ok(date) = NaiveDate::parse_from_str(&on.value, "%Y-%m-%d") else {
            reader.error(on.line, format!("\"{}\" is not a date", on.value), Some("write such as \"2026-05-01\""));
            return None;
        };
        return Some(Review::By { reviewer: reviewer?.value, qualification: qualification?.value, on: date });
    }
    let written = reader.text(table, "review")?;
    match written.value.as_str() {
        "none" => Some(Review::None),
        "original" => Some(Review::Original),
        other => {
            let hint = did_you_mean(other, ["none", "original"]).or_else(|| {
                Some(
                    "write \"none\", \"original\" or { by = \"…\", qualification = \"…\", on = \"2026-05-01\" }"
                        .to_owned(),
                )
            });
            reader.error(written.line, format!("\"{other}\" is not a review"), hint);
            None
        }
    }
}
