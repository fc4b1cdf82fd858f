//! Names as people in one US hospital bear them: several cultures, accents, compound families.

use super::dice::Dice;

/// A culture with the language its people may prefer to English.
pub struct Culture {
    pub share: u32,
    pub language: &'static str,
    pub female: &'static [&'static str],
    pub male: &'static [&'static str],
    pub family: &'static [&'static str],
}

const ANGLO: Culture = Culture {
    share: 44,
    language: "en",
    female: &[
        "Emma", "Olivia", "Grace", "Hannah", "Zoë", "Chloé", "Renée", "Abigail", "Sarah", "Megan", "Nora", "Ruth",
        "Audrey", "Joan",
    ],
    male: &[
        "James", "William", "Henry", "Thomas", "Jack", "Noah", "Ethan", "Samuel", "Walter", "George", "Owen", "Sean",
        "André", "Frank",
    ],
    family: &[
        "Smith",
        "Johnson",
        "O'Brien",
        "Walker",
        "Baker",
        "Collins",
        "Hughes",
        "Murphy",
        "McAllister",
        "St. James",
        "Fitzgerald",
        "Brontë",
        "Young",
        "Carter",
    ],
};
const BLACK_AMERICAN: Culture = Culture {
    share: 14,
    language: "en",
    female: &["Aaliyah", "Imani", "Ebony", "Keisha", "Nia", "Tamika", "Monique", "Jada", "Latoya", "Zuri"],
    male: &["Malik", "Darnell", "Terrence", "Jamal", "DeShawn", "Marcus", "Isaiah", "Tyrone", "Andre", "Xavier"],
    family: &[
        "Washington",
        "Jefferson",
        "Freeman",
        "Banks",
        "Booker",
        "Jackson",
        "Robinson",
        "Gaines",
        "Mosley",
        "Dorsey",
    ],
};
const HISPANIC: Culture = Culture {
    share: 22,
    language: "es",
    female: &[
        "María José",
        "Lucía",
        "Sofía",
        "Ximena",
        "Inés",
        "Guadalupe",
        "Begoña",
        "Rocío",
        "Valentina",
        "Mónica",
        "Itzel",
        "Camila",
    ],
    male: &[
        "José Luis",
        "Jesús",
        "Ángel",
        "Martín",
        "Andrés",
        "Raúl",
        "Joaquín",
        "Óscar",
        "Iñaki",
        "Tomás",
        "Rubén",
        "Héctor",
    ],
    family: &[
        "García López",
        "Muñoz",
        "Peña",
        "Hernández",
        "de la Cruz",
        "Ibáñez",
        "Núñez Ortega",
        "Rodríguez",
        "Gutiérrez",
        "Castañeda",
        "Quiñones",
        "Vázquez",
    ],
};
const VIETNAMESE: Culture = Culture {
    share: 5,
    language: "vi",
    female: &["Thị Hương", "Lan", "Ngọc", "Mai", "Thu Hà", "Phượng"],
    male: &["Văn Minh", "Đức", "Hùng", "Quốc Bảo", "Tuấn", "Long"],
    family: &["Nguyễn", "Trần", "Lê", "Phạm", "Đặng", "Võ"],
};
const CHINESE: Culture = Culture {
    share: 6,
    language: "zh",
    female: &["Xiùyīng", "Mei-Ling", "Lǐ Nà", "Fang", "Jìng", "Yu"],
    male: &["Wěi", "Jūn", "Guo-Hua", "Lei", "Míng", "Jian"],
    family: &["Wáng", "Lǐ", "Zhāng", "Lǚ", "Chen", "Ou-Yang"],
};
const RUSSIAN: Culture = Culture {
    share: 4,
    language: "ru",
    female: &["Anastasija", "Ol'ga", "Svetlana", "Katya", "Yelena"],
    male: &["Dmitrij", "Sergej", "Aleksandr", "Igor'", "Fëdor"],
    family: &["Ivanova", "Kuznecov", "Solov'ëv", "Petrova", "Sokolov"],
};
const OTHERS: Culture = Culture {
    share: 5,
    language: "en",
    female: &["Ngozi", "Adwoa", "Fatima", "Zeynep", "Siobhán", "Priya", "Łucja", "Søren-Marie"],
    male: &["Chukwuemeka", "Kwame", "Yusuf", "Çağlar", "Pádraig", "Arjun", "Zdeněk", "Björn"],
    family: &["Ọbáṣèkí", "Mensah", "Al-Sayed", "Yıldız", "Ó Súilleabháin", "Venkataraman", "Wójcik", "Åström"],
};
const CULTURES: [&Culture; 7] = [&ANGLO, &BLACK_AMERICAN, &HISPANIC, &VIETNAMESE, &CHINESE, &RUSSIAN, &OTHERS];

/// One of the cultures, by its share.
pub fn culture(dice: &mut Dice) -> &'static Culture {
    let total: u32 = CULTURES.iter().map(|c| c.share).sum();
    let mut throw = dice.below(total);
    for culture in CULTURES {
        if throw < culture.share {
            return culture;
        }
        throw -= culture.share;
    }
    &ANGLO
}

/// The local part of a mail address: ASCII letters and dots only.
pub fn ascii(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        plain.push_str(match letter {
            'a'..='z' => {
                plain.push(letter);
                continue;
            }
            'á' | 'à' | 'ā' | 'ä' | 'å' | 'ạ' | 'ã' | 'ặ' | 'ǎ' => "a",
            'é' | 'è' | 'ë' | 'ê' | 'ě' | 'ế' => "e",
            'í' | 'ì' | 'ī' | 'ï' | 'ǐ' | 'ị' | 'ı' => "i",
            'ó' | 'ò' | 'ö' | 'ø' | 'ọ' | 'ố' => "o",
            'ú' | 'ù' | 'ū' | 'ü' | 'ǚ' | 'ư' => "u",
            'ñ' => "n",
            'ç' => "c",
            'ğ' => "g",
            'ł' => "l",
            'đ' => "d",
            'ż' | 'ź' => "z",
            ' ' | '-' => ".",
            _ => "",
        });
    }
    let trimmed = plain.trim_matches('.').replace("..", ".");
    if trimmed.is_empty() { "patient".to_owned() } else { trimmed }
}
