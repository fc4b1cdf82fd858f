//! Records that are one person: what a merge left behind still holds for the survivor. Nothing is copied, so that a
//! merge that is taken back takes everything back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Enrolment, EnrolmentState, PatientId, RuleId};

/// A chain of merges is short; a circle is a mistake of the EHR and must not hang us.
const LONGEST_CHAIN: usize = 16;

/// The merges that some patients of one EHR are part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merges {
    /// Replaced record to the one that took its place.
    next: BTreeMap<PatientId, PatientId>,
}

impl Merges {
    /// Adds that `survivor` took the place of `replaced`, unless another survivor is known; answers whether it was new.
    pub fn add(&mut self, replaced: PatientId, survivor: PatientId) -> bool {
        if replaced == survivor || self.next.contains_key(&replaced) {
            return false;
        }
        self.next.insert(replaced, survivor);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// The record at the end of the chain; `None` for a record that was not replaced.
    pub fn survivor_of(&self, patient: &PatientId) -> Option<&PatientId> {
        let mut current = self.next.get(patient)?;
        for _ in 0..LONGEST_CHAIN {
            match self.next.get(current) {
                Some(next) => current = next,
                None => break,
            }
        }
        Some(current)
    }

    /// Whose it counts as: the survivor, or the patient itself.
    pub fn owner<'m>(&'m self, patient: &'m PatientId) -> &'m PatientId {
        self.survivor_of(patient).unwrap_or(patient)
    }

    /// Records that this one took the place of, directly or in the end. Nobody, for one that was replaced itself.
    pub fn predecessors_of<'m>(&'m self, patient: &'m PatientId) -> impl Iterator<Item = &'m PatientId> {
        let is_replaced = self.next.contains_key(patient);
        self.next.keys().filter(move |it| !is_replaced && self.survivor_of(it) == Some(patient))
    }

    /// These patients and everybody who was merged into one of them, each once.
    pub fn with_predecessors(&self, patients: &[PatientId]) -> Vec<PatientId> {
        if self.is_empty() {
            return patients.to_vec();
        }
        let mut all: BTreeSet<&PatientId> = patients.iter().collect();
        all.extend(patients.iter().flat_map(|it| self.predecessors_of(it)));
        all.into_iter().cloned().collect()
    }

    /// Gives survivors what was found under records that they replaced, as far as it `moves` along; the rest stays where
    /// it was.
    pub fn fold<T>(&self, found: &mut HashMap<PatientId, Vec<T>>, moves: impl Fn(&T) -> bool) {
        for replaced in self.next.keys() {
            let (Some(survivor), Some(all)) = (self.survivor_of(replaced), found.remove(replaced)) else { continue };
            let (moved, stays): (Vec<T>, Vec<T>) =
                if survivor == replaced { (Vec::new(), all) } else { all.into_iter().partition(&moves) };
            if !stays.is_empty() {
                found.insert(replaced.clone(), stays);
            }
            if !moved.is_empty() {
                found.entry(survivor.clone()).or_default().extend(moved);
            }
        }
    }

    /// One enrolment at most for each person and rule: what was switched for a replaced record holds for its survivor,
    /// and nobody is switched on by a word that may not have known of the other record.
    pub fn enrolments(&self, all: Vec<Enrolment>) -> Vec<Enrolment> {
        if self.is_empty() {
            return all;
        }
        let mut of_person: BTreeMap<(PatientId, RuleId), Enrolment> = BTreeMap::new();
        for it in all {
            let it = Enrolment { patient: self.owner(&it.patient).clone(), ..it };
            let key = (it.patient.clone(), it.rule.clone());
            let standing = of_person.get(&key).is_some_and(|other| !outweighs(&it, other));
            if !standing {
                of_person.insert(key, it);
            }
        }
        of_person.into_values().collect()
    }
}

fn outweighs(one: &Enrolment, other: &Enrolment) -> bool {
    match (one.state, other.state) {
        (EnrolmentState::On, EnrolmentState::On) | (EnrolmentState::Off, EnrolmentState::Off) => one.at > other.at,
        (EnrolmentState::PausedUntil(one), EnrolmentState::PausedUntil(other)) => one > other,
        (EnrolmentState::Off, _) | (EnrolmentState::PausedUntil(_), EnrolmentState::On) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merges(pairs: &[(&str, &str)]) -> Merges {
        let mut merges = Merges::default();
        for (replaced, survivor) in pairs {
            assert!(merges.add(PatientId::new(*replaced), PatientId::new(*survivor)));
        }
        merges
    }

    #[test]
    fn the_end_of_a_chain_survives_and_a_circle_ends() {
        let chain = merges(&[("a", "b"), ("b", "c"), ("x", "c")]);
        assert_eq!(chain.survivor_of(&"a".into()), Some(&"c".into()));
        assert_eq!(chain.survivor_of(&"c".into()), None);
        let before: Vec<String> = chain.predecessors_of(&"c".into()).map(ToString::to_string).collect();
        assert_eq!(before, ["a", "b", "x"]);
        assert_eq!(chain.predecessors_of(&"b".into()).count(), 0, "b has no say any more");
        let circle = merges(&[("a", "b"), ("b", "a")]);
        assert!(circle.survivor_of(&"a".into()).is_some());
        assert_eq!(circle.predecessors_of(&"a".into()).count(), 0, "in a circle nobody survives");
    }

    #[test]
    fn what_was_found_under_a_replaced_record_goes_to_the_survivor() {
        let mut found: HashMap<PatientId, Vec<u8>> =
            [("a".into(), vec![1, 2]), ("c".into(), vec![3]), ("z".into(), vec![4])].into();
        merges(&[("a", "b"), ("b", "c")]).fold(&mut found, |it| *it != 2);
        assert_eq!(found.get(&PatientId::new("a")), Some(&vec![2]));
        assert_eq!(found.get(&PatientId::new("c")), Some(&vec![3, 1]));
        assert_eq!(found.get(&PatientId::new("z")), Some(&vec![4]));
    }

    #[test]
    fn a_rule_that_was_switched_off_for_one_record_is_off_for_the_person() {
        let at = |hour: u32| format!("2026-03-02T{hour:02}:00:00Z").parse().unwrap();
        let enrolment = |patient: &str, state, hour| Enrolment {
            patient: patient.into(),
            rule: RuleId::new("r"),
            state,
            by: "cli".to_owned(),
            at: at(hour),
        };
        let (on, off, paused) = (EnrolmentState::On, EnrolmentState::Off, EnrolmentState::PausedUntil(at(20)));
        for (old, new, expected) in
            [(off, on, off), (on, off, off), (paused, on, paused), (off, paused, off), (on, on, on)]
        {
            let both = vec![enrolment("old", old, 8), enrolment("new", new, 9)];
            for all in [both.clone(), both.into_iter().rev().collect()] {
                let held = merges(&[("old", "new")]).enrolments(all);
                assert_eq!(
                    (held.len(), &held[0].patient, held[0].state),
                    (1, &"new".into(), expected),
                    "{old:?} {new:?}"
                );
            }
        }
    }
}
