//! A search request, read: what is asked, and what of it the server understood.

use serde_json::Value;

use super::matching::{Criterion, split};
use super::params::{self, Kind};
use super::{dates, pages};

/// A search that the server can run.
#[derive(Debug)]
pub struct Query {
    pub kind: String,
    pub criteria: Vec<Criterion>,
    /// (parameter, descending).
    pub sort: Vec<(params::Param, bool)>,
    pub count: Option<usize>,
    /// Only the number of matches is asked for.
    pub summary: bool,
    /// (source type, parameter).
    pub includes: Vec<(String, String)>,
    /// What was understood, for the self link.
    pub understood: Vec<(String, String)>,
    /// The names of what was not.
    pub ignored: Vec<String>,
}

/// Reads the parameters of a search.
///
/// # Errors
/// With what is wrong with a value or modifier, in one sentence.
pub fn parse(kind: &str, pairs: Vec<(String, String)>, known: impl Fn(&str) -> bool) -> Result<Query, String> {
    let mut query = Query {
        kind: kind.to_owned(),
        criteria: Vec::new(),
        sort: Vec::new(),
        count: None,
        summary: false,
        includes: Vec::new(),
        understood: Vec::new(),
        ignored: Vec::new(),
    };
    for (full, value) in pairs {
        let (name, modifier) = match full.split_once(':') {
            Some((name, modifier)) => (name.to_owned(), Some(modifier.to_owned())),
            None => (full.clone(), None),
        };
        let understood = match name.as_str() {
            "_format" | "_pretty" | "_total" => true,
            "_count" => {
                query.count = Some(value.parse().map_err(|_| format!("_count is not a number: {value}"))?);
                true
            }
            "_summary" if value == "count" => {
                query.summary = true;
                true
            }
            "_sort" => sort(&mut query, &value),
            "_include" => match value.split(':').collect::<Vec<_>>().as_slice() {
                [source, param, ..]
                    if params::find(source, param).is_some_and(|found| found.kind == Kind::Reference) =>
                {
                    query.includes.push(((*source).to_owned(), (*param).to_owned()));
                    true
                }
                _ => false,
            },
            _ if known(&name) => match params::find(kind, &name) {
                None => false,
                Some(param) => {
                    query.criteria.push(criterion(kind, name, param, modifier, &value)?);
                    true
                }
            },
            _ => false,
        };
        if understood {
            query.understood.push((full, value));
        } else {
            query.ignored.push(full);
        }
    }
    Ok(query)
}

fn sort(query: &mut Query, value: &str) -> bool {
    let mut keys = Vec::new();
    for key in value.split(',') {
        let (name, down) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
        match params::find(&query.kind, name) {
            Some(param) => keys.push((param, down)),
            None => return false,
        }
    }
    query.sort = keys;
    true
}

fn criterion(
    kind: &str,
    name: String,
    param: params::Param,
    modifier: Option<String>,
    value: &str,
) -> Result<Criterion, String> {
    let mut target = params::only_type(kind, &name);
    let allowed = match (param.kind, modifier.as_deref()) {
        (_, None | Some("missing")) | (Kind::Token, Some("not")) | (Kind::Text, Some("exact" | "contains")) => true,
        (Kind::Reference, Some("Patient")) => {
            target = Some("Patient");
            true
        }
        _ => false,
    };
    if !allowed {
        return Err(format!("modifier :{} is not supported on {name}", modifier.unwrap_or_default()));
    }
    let values = split(value, ',');
    let not_a_date = |value: &&String| param.kind == Kind::Date && modifier.is_none() && dates::bound(value).is_none();
    if let Some(bad) = values.iter().find(not_a_date) {
        return Err(format!("{name} is not a date: {bad}"));
    }
    if values.iter().all(String::is_empty) {
        return Err(format!("{name} has no value"));
    }
    Ok(Criterion { name, param, modifier, values, target })
}

impl Query {
    pub fn matches(&self, resource: &Value, base: &str) -> bool {
        self.criteria.iter().all(|criterion| criterion.matches(resource, base))
    }

    /// What to order by: one text a key. Instants of any offset order by time.
    fn keys(&self, resource: &Value) -> Vec<String> {
        let first =
            |param: &params::Param| param.paths.iter().find_map(|path| params::at(resource, path).first().copied());
        self.sort
            .iter()
            .map(|(param, _)| match (first(param), param.kind) {
                (None, _) => String::new(),
                (Some(found), Kind::Date) => {
                    dates::of(found).map(|stretch| stretch.low.to_rfc3339()).unwrap_or_default()
                }
                (Some(found), _) => found.as_str().map_or_else(|| found.to_string(), str::to_lowercase),
            })
            .collect()
    }

    /// Puts matches into the order asked for; without one, the order of ids stays.
    pub fn order(&self, matches: &mut [pages::Match]) {
        if self.sort.is_empty() {
            return;
        }
        matches.sort_by_cached_key(|found| {
            let keys = self.keys(found.version.body());
            keys.into_iter()
                .zip(&self.sort)
                .map(
                    |(key, (_, down))| if *down { Direction::Down(std::cmp::Reverse(key)) } else { Direction::Up(key) },
                )
                .collect::<Vec<_>>()
        });
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Up(String),
    Down(std::cmp::Reverse<String>),
}
