//! What a patient's short answer means, in English and Spanish, as far as it can be told without guessing.
//!
//! A person may revoke consent in any reasonable way (47 CFR 64.1200(a)(10)), so STOP is looked for anywhere in a short
//! text and by its phrases in a long one, and whoever reads the reply sees the words. Everything else counts only where
//! it is the whole text: an answer that is not clear goes to staff. YES and CANCEL are never an answer to an
//! appointment: carriers take the first for START and the second for STOP.

use crate::domain::ReplyMeaning;

/// Longer texts are read for phrases only: "stop" in a story is not a revocation.
const SHORT: usize = 8;

/// Revoke wherever they stand in a short text.
const STOP_ANYWHERE: &[&str] =
    &["stop", "stopall", "unsubscribe", "unsubcribe", "unsuscribe", "optout", "revoke", "parar", "arret"];

/// Revoke where they are the whole text: they mean other things in a sentence, or are slips of the finger.
const STOP_ALONE: &[&str] = &[
    "cancel", "cancelar", "end", "quit", "stopp", "stpo", "sotp", "st0p", "sstop", "stio", "stoo", "alto", "pare",
    "paren", "basta", "baja", "detener", "deten", "arreter", "remove", "no more",
];

/// Revoke in a text of any length.
const STOP_PHRASES: &[&str] = &[
    "stop texting",
    "stop sending",
    "stop messaging",
    "stop contacting",
    "stop calling",
    "stop these",
    "stop this",
    "stop all",
    "stop the messages",
    "stop the texts",
    "opt out",
    "opt me out",
    "opting out",
    "unsubscribe me",
    "remove me",
    "remove my number",
    "take me off",
    "leave me alone",
    "do not text",
    "dont text",
    "do not contact",
    "dont contact",
    "do not message",
    "dont message",
    "quit texting",
    "quit sending",
    "no more texts",
    "no more messages",
    "wrong number",
    "wrong person",
    "no me escriban",
    "no me manden",
    "no me envien",
    "no me contacten",
    "no mas mensajes",
    "no quiero mensajes",
    "no quiero recibir",
    "dejen de",
    "deje de enviar",
    "deje de mandar",
    "dar de baja",
    "darme de baja",
    "numero equivocado",
    "persona equivocada",
];

/// "stop" in these is another word.
const NOT_STOP: &[&str] = &["stop by", "stop in", "bus stop", "dont stop", "do not stop", "not stop", "non stop"];

const START: &[&str] = &["start", "unstop", "iniciar", "empezar", "comenzar"];
const HELP: &[&str] = &["help", "info", "ayuda"];
const CONFIRM: &[&str] =
    &["c", "1", "confirm", "confirmed", "i confirm", "confirmo", "confirmar", "confirmado", "confirmada"];
const CANNOT_COME: &[&str] = &[
    "r",
    "2",
    "reschedule",
    "cannot come",
    "cant come",
    "can not come",
    "i cannot come",
    "i cant come",
    "i can not come",
    "no puedo ir",
    "no puedo venir",
    "no puedo asistir",
    "reprogramar",
];

/// "I confirmed" somewhere in a sentence, by the beginning of a word.
const CONFIRM_STEM: &str = "confirm";

/// Asks for silence about the visit that was confirmed, and for nothing else. Counts only beside a confirmation, and where
/// nothing else in the text revokes: what is said of texts or messages in general is a revocation.
const ENOUGH_PHRASES: &[&str] = &[
    "stop asking",
    "stop reminding",
    "quit asking",
    "quit reminding",
    "no need to ask",
    "no need to remind",
    "dont ask",
    "do not ask",
    "dont remind",
    "do not remind",
    "no more reminders",
    "dejen de preguntar",
    "deje de preguntar",
    "dejen de recordar",
    "no pregunten",
    "no me pregunten",
    "no me recuerden",
    "no mas recordatorios",
];

/// Courtesies that change nothing.
const COURTESY: &[&str] = &["please", "pls", "plz", "thanks", "thank", "you", "thx", "por", "favor", "gracias"];

/// Reads a reply.
pub fn meaning_of_reply(text: &str) -> ReplyMeaning {
    let words = words(text);
    if let Some(rest) = without_enough(&words) {
        return if revokes_anyhow(&rest) { ReplyMeaning::Stop } else { ReplyMeaning::ConfirmNoMore };
    }
    let padded = format!(" {} ", words.join(" "));
    let contains = |phrase: &str| padded.contains(&format!(" {phrase} "));
    let plain: Vec<&str> = words.iter().map(String::as_str).filter(|word| !COURTESY.contains(word)).collect();
    let whole = plain.join(" ");
    if STOP_PHRASES.iter().any(|phrase| contains(phrase)) || STOP_ALONE.contains(&whole.as_str()) {
        return ReplyMeaning::Stop;
    }
    let another_word = NOT_STOP.iter().any(|phrase| contains(phrase));
    if words.len() <= SHORT && !another_word && words.iter().any(|word| revokes(word)) {
        return ReplyMeaning::Stop;
    }
    let is = |list: &[&str]| list.contains(&whole.as_str());
    if is(START) {
        ReplyMeaning::Start
    } else if is(HELP) {
        ReplyMeaning::Help
    } else if is(CONFIRM) {
        ReplyMeaning::Confirm
    } else if is(CANNOT_COME) {
        ReplyMeaning::CannotCome
    } else {
        ReplyMeaning::FreeText
    }
}

/// What is left of "I confirmed, stop asking" without the asking; `None` where the text is no such thing.
fn without_enough(words: &[String]) -> Option<Vec<String>> {
    if words.len() > 2 * SHORT || !words.iter().any(|word| word.starts_with(CONFIRM_STEM)) {
        return None;
    }
    let padded = format!(" {} ", words.join(" "));
    let phrase = ENOUGH_PHRASES.iter().find(|phrase| padded.contains(&format!(" {phrase} ")))?;
    let rest = padded.replacen(&format!(" {phrase} "), " ", 1);
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether words revoke whatever else they say.
fn revokes_anyhow(words: &[String]) -> bool {
    let padded = format!(" {} ", words.join(" "));
    STOP_PHRASES.iter().any(|phrase| padded.contains(&format!(" {phrase} "))) || words.iter().any(|word| revokes(word))
}

/// `stop`, and `stop` with a number or sign-off run into it (`STOP2`, `stopplease`); not `stopped`.
fn revokes(word: &str) -> bool {
    STOP_ANYWHERE.contains(&word)
        || word.strip_prefix("stop").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
        || ["stopplease", "stoptexting", "stopsending", "plstop", "pleasestop", "stopnow"].contains(&word)
}

/// Lower case, accents off, apostrophes gone, everything else that is no letter or digit a space. Letters spelled out one
/// by one (`S T O P`) are one word.
fn words(text: &str) -> Vec<String> {
    let folded: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\'' | '’' | '‘' | '`' | '´' | '\u{200b}' | '\u{feff}' | '\u{301}' | '\u{fe0f}'))
        .map(|c| match c {
            'á' | 'à' | 'â' | 'ä' => 'a',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'í' | 'ì' | 'î' | 'ï' => 'i',
            'ó' | 'ò' | 'ô' | 'ö' => 'o',
            'ú' | 'ù' | 'û' | 'ü' => 'u',
            'ñ' => 'n',
            c if c.is_alphanumeric() => c,
            _ => ' ',
        })
        .collect();
    let words: Vec<String> = folded.split_whitespace().map(str::to_owned).collect();
    if words.len() == 4 && words.concat() == "stop" {
        return vec![words.concat()];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_is_understood_however_it_is_put() {
        for text in [
            "STOP",
            "stop",
            "Stop.",
            " STOP ",
            "\"STOP\"",
            "STOP!!!",
            "Stop please",
            "please stop",
            "STOP 🛑",
            "S.T.O.P",
            "s t o p",
            "STOPALL",
            "stop all",
            "STOP2",
            "stopp",
            "Sotp",
            "St0p",
            "UNSUBSCRIBE",
            "unsuscribe",
            "Cancel",
            "CANCEL.",
            "cancel please",
            "END",
            "Quit",
            "REVOKE",
            "OPTOUT",
            "opt out",
            "Opt-out",
            "I want to opt out of this",
            "can you stop?",
            "stop these messages",
            "Please stop texting me, I have asked three times already and nobody listens",
            "Don't text me",
            "don’t text me again",
            "Do not contact me",
            "Remove me from your list",
            "Take me off",
            "leave me alone",
            "wrong number",
            "You have the wrong number, there is nobody called Maria here at all",
            "ALTO",
            "alto por favor",
            "Parar",
            "PARE",
            "basta",
            "No más mensajes",
            "no me escriban por favor",
            "Dejen de mandarme mensajes",
            "quiero darme de baja",
            "Baja",
            "número equivocado",
            "ARRÊT",
            "2 stop",
            "C. Stop",
        ] {
            assert_eq!(meaning_of_reply(text), ReplyMeaning::Stop, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_revocation_goes_to_staff() {
        for text in [
            "I'll stop by at 3",
            "can I stop in tomorrow",
            "the bus stop is closed",
            "please don't stop the reminders",
            "I stopped taking the pills",
            "please cancel my appointment",
            "Cancel it",
            "at the end of the week?",
            "I had to quit smoking",
            "My doctor told me to take this until the fever would finally stop and it did",
            "ella es alto",
            "quiero cancelar mi cita",
        ] {
            assert_eq!(meaning_of_reply(text), ReplyMeaning::FreeText, "{text}");
        }
    }

    #[test]
    fn whoever_confirmed_and_wants_no_more_asking_has_not_revoked() {
        use ReplyMeaning as M;
        for (text, expected) in [
            ("I confirmed, stop asking", M::ConfirmNoMore),
            ("Already confirmed. Please don’t remind me again", M::ConfirmNoMore),
            ("CONFIRMED no more reminders", M::ConfirmNoMore),
            ("Ya confirmé, no me recuerden más", M::ConfirmNoMore),
            ("ya confirme, dejen de preguntar por favor", M::ConfirmNoMore),
            // Without a confirmation, or with more than that: a revocation, or for a person to read.
            ("stop asking", M::Stop),
            ("I confirmed, stop texting me", M::Stop),
            ("I confirmed, stop asking. STOP", M::Stop),
            ("I confirmed, stop asking and remove my number", M::Stop),
            ("dont remind me", M::FreeText),
            ("can't confirm", M::FreeText),
        ] {
            assert_eq!(meaning_of_reply(text), expected, "{text}");
        }
    }

    #[test]
    fn other_answers_count_only_where_they_are_the_whole_text() {
        use ReplyMeaning as M;
        for (text, expected) in [
            ("START", M::Start),
            ("Unstop", M::Start),
            ("start please", M::Start),
            ("When does it start?", M::FreeText),
            ("YES", M::FreeText),
            ("Sí", M::FreeText),
            ("no", M::FreeText),
            ("HELP", M::Help),
            ("info", M::Help),
            ("¡Ayuda!", M::Help),
            ("help me get there", M::FreeText),
            ("C", M::Confirm),
            ("c.", M::Confirm),
            ("(C)", M::Confirm),
            ("1", M::Confirm),
            ("1️⃣", M::Confirm),
            ("Confirm", M::Confirm),
            ("I confirm, thank you", M::Confirm),
            ("Confirmo, gracias", M::Confirm),
            ("C or R?", M::FreeText),
            ("can't confirm", M::FreeText),
            ("11", M::FreeText),
            ("1 or 2", M::FreeText),
            ("R", M::CannotCome),
            ("2", M::CannotCome),
            ("I can't come", M::CannotCome),
            ("I can’t come", M::CannotCome),
            ("No puedo ir", M::CannotCome),
            ("I can come", M::FreeText),
            ("reschedule to 2 pm", M::FreeText),
            ("", M::FreeText),
            ("👍", M::FreeText),
            ("please", M::FreeText),
        ] {
            assert_eq!(meaning_of_reply(text), expected, "{text}");
        }
    }
}
