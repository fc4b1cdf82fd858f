//! How easily a text is read: Flesch-Kincaid grade for English (Kincaid 1975), Szigriszt-Pazos on the INFLESZ scale for
//! Spanish (Barrio-Cantalejo 2008). Both rest on the length of sentences and words; they find what is hard, and do not
//! prove that a text is good.

/// How easily a text is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReadingLevel {
    /// School grade in the United States.
    FleschKincaid(f64),
    /// 0 to 100; from 55 on *normal*, from 65 on *quite easy*.
    Inflesz(f64),
}

/// Texts for patients stay at or below the eighth grade.
const HARDEST_GRADE: f64 = 8.0;
/// Below this a text is *somewhat hard* on the INFLESZ scale.
const LOWEST_INFLESZ: f64 = 55.0;
/// Of fewer words nothing can be told.
const FEWEST_WORDS: usize = 8;

impl ReadingLevel {
    /// `None` in other languages, and of a few words.
    pub fn of(text: &str, language: &str) -> Option<Self> {
        let syllables_of = match language {
            "en" => english_syllables,
            "es" => spanish_syllables,
            _ => return None,
        };
        let (mut sentences, mut words, mut syllables) = (0_usize, 0_usize, 0_usize);
        for sentence in sentences_of(text) {
            let mut any = false;
            for word in sentence.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’') {
                // A number is read at a glance, an address not at all.
                if word.chars().any(char::is_alphabetic) && !word.chars().any(char::is_numeric) {
                    words += 1;
                    syllables += syllables_of(&word.to_lowercase());
                    any = true;
                }
            }
            sentences += usize::from(any);
        }
        if words < FEWEST_WORDS {
            return None;
        }
        let (sentences, words, syllables) = (sentences as f64, words as f64, syllables as f64);
        Some(match language {
            "en" => Self::FleschKincaid(0.39 * words / sentences + 11.8 * syllables / words - 15.59),
            _ => Self::Inflesz(206.835 - 62.3 * syllables / words - words / sentences),
        })
    }

    /// Whether it is easy enough for everybody.
    pub fn is_easy(self) -> bool {
        match self {
            Self::FleschKincaid(grade) => grade <= HARDEST_GRADE,
            Self::Inflesz(score) => score >= LOWEST_INFLESZ,
        }
    }

    /// `grade 5.2` or `INFLESZ 78`.
    pub fn words(self) -> String {
        match self {
            Self::FleschKincaid(grade) => format!("grade {:.1}", grade.max(0.0)),
            Self::Inflesz(score) => format!("INFLESZ {score:.0}"),
        }
    }

    /// What is asked for, in the same words.
    pub fn limit(self) -> String {
        match self {
            Self::FleschKincaid(_) => format!("grade {HARDEST_GRADE:.0} at most"),
            Self::Inflesz(_) => format!("INFLESZ {LOWEST_INFLESZ:.0} at least"),
        }
    }
}

/// Ends at `.`, `!`, `?`, `:` or `;` before a blank, and at each line.
fn sentences_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let mut parts = Vec::new();
        let mut begin = 0;
        for (at, mark) in line.match_indices(['.', '!', '?', ':', ';']) {
            let end = at + mark.len();
            if line[end..].starts_with(char::is_whitespace) && !is_abbreviation(&line[..at]) {
                parts.push(&line[begin..end]);
                begin = end;
            }
        }
        parts.push(&line[begin..]);
        parts
    })
}

/// `a. m.`, `tel.`
fn is_abbreviation(before: &str) -> bool {
    let last = before.rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
    matches!(last.as_str(), "a" | "p" | "m" | "tel" | "dr" | "dra" | "sr" | "sra")
}

/// Groups of vowels, without the mute ones at the end.
fn english_syllables(word: &str) -> usize {
    let is_vowel = |c: char| "aeiouy".contains(c);
    let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
    let mut count = 0;
    let mut before = false;
    for c in &letters {
        let vowel = is_vowel(*c);
        count += usize::from(vowel && !before);
        before = vowel;
    }
    let ends = |text: &str| letters.iter().collect::<String>().ends_with(text);
    let at = |back: usize| letters.len().checked_sub(back).map(|index| letters[index]);
    let mute_e =
        ends("e") && !(ends("le") && at(3).is_some_and(|c| !is_vowel(c))) && at(2).is_some_and(|c| !is_vowel(c));
    let mute_ed = ends("ed") && at(3).is_some_and(|c| !is_vowel(c) && c != 't' && c != 'd');
    let mute_es =
        ends("es") && at(3).is_some_and(|c| !is_vowel(c) && !"scxzg".contains(c)) && !ends("shes") && !ends("ches");
    count.saturating_sub(usize::from(mute_e || mute_ed || mute_es)).max(1)
}

/// Nuclei: a weak vowel joins its neighbour, unless it bears the accent beside a strong one.
fn spanish_syllables(word: &str) -> usize {
    let letters: Vec<char> = word.chars().collect();
    let is_strong = |c: char| "aeoáéó".contains(c);
    let is_weak = |c: char| "iuü".contains(c);
    let is_accented = |c: char| "íú".contains(c);
    let mut count = 0;
    let mut before: Option<char> = None;
    for (index, c) in letters.iter().copied().enumerate() {
        let c = if c == 'y' && index + 1 == letters.len() && index > 0 { 'i' } else { c };
        if is_strong(c) || is_weak(c) || is_accented(c) {
            let joins = before.is_some_and(|b| {
                let hiatus =
                    is_strong(b) && is_strong(c) || is_accented(c) && is_strong(b) || is_accented(b) && is_strong(c);
                !hiatus
            });
            count += usize::from(!joins);
            before = Some(c);
        } else {
            before = None;
        }
    }
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_counted_as_they_are_spoken() {
        for (word, count) in [
            ("time", 1),
            ("please", 1),
            ("appointment", 3),
            ("people", 2),
            ("called", 1),
            ("planned", 1),
            ("needed", 2),
            ("places", 2),
            ("times", 1),
            ("we", 1),
            ("the", 1),
            ("medicines", 3),
            ("you", 1),
            ("visit", 2),
            ("shots", 1),
        ] {
            assert_eq!(english_syllables(word), count, "{word}");
        }
        for (word, count) in [
            ("cita", 2),
            ("llámenos", 3),
            ("día", 2),
            ("visita", 3),
            ("puede", 2),
            ("correos", 3),
            ("hoy", 1),
            ("muy", 1),
            ("siguiente", 3),
            ("clínica", 3),
            ("teléfono", 4),
            ("usted", 2),
            ("ya", 1),
            ("vacuna", 3),
            ("y", 1),
            ("leer", 2),
        ] {
            assert_eq!(spanish_syllables(word), count, "{word}");
        }
    }

    #[test]
    fn sentences_end_where_a_reader_takes_breath() {
        let count = |text: &str| sentences_of(text).filter(|it| it.chars().any(char::is_alphabetic)).count();
        for (text, expected) in [
            ("It is time. Please call us.", 2),
            ("Example Clinic: It is time. Call 512.555.0100 now!", 3),
            ("Su cita es a las 10:30 a. m. en la clínica.", 1),
            ("Hello,\n\nIt is time", 2),
            ("One", 1),
            ("", 0),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }

    #[test]
    fn hard_texts_are_told_from_easy_ones() {
        let easy = "We want to know how you are. If you have pain, please call us. We are here to help you.";
        let hard = "Subsequent administration necessitates comprehensive documentation of contraindications, \
                    precautionary considerations and individualized pharmacological recommendations.";
        assert!(ReadingLevel::of(easy, "en").unwrap().is_easy());
        assert!(!ReadingLevel::of(hard, "en").unwrap().is_easy());
        let easy = "Queremos saber cómo está. Si tiene dolor, llame a la clínica. Aquí le ayudamos.";
        let hard = "La administración subsiguiente requiere documentación exhaustiva de las contraindicaciones \
                    farmacológicas correspondientes y recomendaciones individualizadas complementarias.";
        assert!(ReadingLevel::of(easy, "es").unwrap().is_easy());
        assert!(!ReadingLevel::of(hard, "es").unwrap().is_easy());
        assert_eq!(ReadingLevel::of(easy, "fr"), None);
        assert_eq!(ReadingLevel::of("Call us.", "en"), None);
    }
}
