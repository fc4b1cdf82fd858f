//! The path of a request as the ledger keeps it: which question it was, without whom it was about. Pure.

use reqwest::Url;

use crate::domain::ResourceType;

/// Segments of a FHIR base that are the same for everybody.
const FIXED: [&str; 4] = ["metadata", ".well-known", "smart-configuration", "jwks.json"];

/// The path below `base` with `{id}` for every id, and the names of the parameters without their values.
pub(super) fn route(base: &Url, url: &Url) -> String {
    if base.origin() != url.origin() {
        return format!("(file on {})", url.host_str().unwrap_or("another host"));
    }
    let prefix = base.path().trim_end_matches('/');
    let below = url.path().strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match below {
        None => "(linked page)".to_owned(),
        Some(rest) => {
            let segments = rest.split('/').filter(|segment| !segment.is_empty()).enumerate().map(|(at, segment)| {
                let type_name = if at == 0 { is_type_name(segment) } else { ResourceType::parse(segment).is_some() };
                let kept = type_name || segment.starts_with('$') || is_operator(segment) || FIXED.contains(&segment);
                if kept { segment } else { "{id}" }
            });
            format!("/{}", segments.collect::<Vec<_>>().join("/"))
        }
    };
    let mut names: Vec<String> = Vec::new();
    for (name, _) in url.query_pairs() {
        // What does not look like a parameter's name may be anything.
        let plain = !name.is_empty()
            && name.len() <= 40
            && name.chars().all(|letter| letter.is_ascii_alphabetic() || matches!(letter, '_' | '-' | '.' | ':'));
        let name = if plain { name.into_owned() } else { "…".to_owned() };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { path } else { format!("{path}?{}", names.join("&")) }
}

fn is_type_name(segment: &str) -> bool {
    segment.len() <= 40
        && segment.starts_with(|first: char| first.is_ascii_uppercase())
        && segment.chars().all(|letter| letter.is_ascii_alphabetic())
}

/// `_search`, `_history`: an id never begins with an underscore (R4 datatypes "id").
fn is_operator(segment: &str) -> bool {
    segment.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_says_what_was_asked_and_not_of_whom() {
        let base = Url::parse("https://ehr.example/apis/fhir").unwrap();
        for (url, expected) in [
            ("https://ehr.example/apis/fhir/metadata", "/metadata"),
            ("https://ehr.example/apis/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration"),
            ("https://ehr.example/apis/fhir/Patient/ada-lovelace", "/Patient/{id}"),
            ("https://ehr.example/apis/fhir/Patient/Condition", "/Patient/Condition"),
            ("https://ehr.example/apis/fhir/Patient/Lovelace", "/Patient/{id}"),
            ("https://ehr.example/apis/fhir/Appointment/7/_history/2", "/Appointment/{id}/_history/{id}"),
            ("https://ehr.example/apis/fhir/Patient/_search", "/Patient/_search"),
            ("https://ehr.example/apis/fhir/Group/g1/$export?_type=Patient", "/Group/{id}/$export?_type"),
            (
                "https://ehr.example/apis/fhir/Appointment?patient=eq081&date=ge2026&date=lt2027&patient.name=Lovelace",
                "/Appointment?patient&date&patient.name",
            ),
            ("https://ehr.example/apis/fhir/Appointment?Ada+Lovelace+1815=x", "/Appointment?…"),
            ("https://ehr.example/apis/fhir?_getpages=3f2a", "/?_getpages"),
            ("https://ehr.example/apis/fhir", "/"),
            ("https://ehr.example/apis/fhirs/Patient/1", "(linked page)"),
            ("https://ehr.example/paging/ada?x=1", "(linked page)?x"),
            ("https://store.example/bucket/ada", "(file on store.example)"),
        ] {
            assert_eq!(route(&base, &Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
