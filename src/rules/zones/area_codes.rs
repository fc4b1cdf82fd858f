//! Zones of the area codes of the North American Numbering Plan. A code whose area is cut by a zone line stands under
//! both zones. Codes that belong to no place (toll-free, personal) and codes younger than this table give none.

use chrono_tz::Tz;

/// Zones of a three-digit area code.
pub(super) fn zones_of(code: &str) -> &'static [Tz] {
    let Ok(code) = code.parse::<u16>() else { return &[] };
    TABLE.iter().find(|(codes, _)| codes.contains(&code)).map_or(&[], |(_, zones)| *zones)
}

const EASTERN: Tz = Tz::America__New_York;
const CENTRAL: Tz = Tz::America__Chicago;
const MOUNTAIN: Tz = Tz::America__Denver;
const PACIFIC: Tz = Tz::America__Los_Angeles;
const ATLANTIC: Tz = Tz::America__Puerto_Rico;

#[rustfmt::skip]
const TABLE: &[(&[u16], &[Tz])] = &[
    (&[
        201, 202, 203, 207, 212, 215, 216, 220, 223, 227, 229, 231, 234, 239, 240, 248, 252, 260, 267, 269, 272, 276,
        283, 301, 302, 304, 305, 313, 315, 317, 321, 324, 326, 329, 330, 332, 336, 339, 347, 351, 352, 363, 380, 386,
        401, 404, 407, 410, 412, 413, 419, 434, 436, 440, 443, 445, 463, 470, 472, 475, 478, 484, 502, 508, 513, 516,
        517, 518, 540, 551, 561, 567, 570, 571, 582, 585, 586, 603, 606, 607, 609, 610, 614, 616, 617, 624, 631, 640,
        645, 646, 656, 667, 678, 679, 680, 681, 686, 689, 703, 704, 706, 716, 717, 718, 724, 727, 728, 732, 734, 740,
        743, 754, 757, 762, 765, 770, 771, 772, 774, 781, 786, 802, 803, 804, 810, 813, 814, 821, 826, 828, 835, 838,
        839, 843, 845, 848, 854, 856, 857, 859, 860, 862, 863, 864, 865, 878, 904, 908, 910, 912, 914, 917, 919, 929,
        934, 937, 941, 943, 947, 948, 954, 959, 973, 978, 980, 984, 989,
    ], &[EASTERN]),
    (&[219, 270, 364, 423, 448, 574, 812, 850, 906, 930], &[EASTERN, CENTRAL]),
    (&[
        205, 210, 214, 217, 218, 224, 225, 228, 235, 251, 254, 256, 262, 274, 281, 309, 312, 314, 316, 318, 319, 320,
        325, 327, 331, 334, 337, 346, 353, 361, 402, 405, 409, 414, 417, 430, 432, 447, 457, 464, 469, 479, 501, 504,
        507, 512, 515, 531, 534, 539, 557, 563, 572, 573, 580, 601, 608, 612, 615, 618, 621, 629, 630, 636, 641, 651,
        659, 660, 662, 682, 708, 712, 713, 715, 726, 730, 731, 737, 763, 769, 773, 779, 806, 815, 816, 817, 830, 832,
        847, 861, 870, 872, 901, 903, 913, 918, 920, 924, 931, 936, 938, 940, 945, 952, 956, 972, 975, 979, 985,
    ], &[CENTRAL]),
    (&[308, 605, 620, 701, 785], &[CENTRAL, MOUNTAIN]),
    (&[303, 307, 385, 406, 435, 505, 575, 719, 720, 801, 915, 970, 983], &[MOUNTAIN]),
    (&[480, 520, 602, 623], &[Tz::America__Phoenix]),
    (&[928], &[Tz::America__Phoenix, MOUNTAIN]),
    (&[208, 458, 541, 775, 986], &[MOUNTAIN, PACIFIC]),
    (&[
        206, 209, 213, 253, 279, 310, 323, 341, 350, 357, 360, 369, 408, 415, 424, 425, 442, 503, 509, 510, 530, 559,
        562, 564, 619, 626, 628, 650, 657, 661, 669, 702, 707, 714, 725, 738, 747, 760, 805, 818, 820, 831, 837, 840,
        858, 909, 916, 925, 949, 951, 971,
    ], &[PACIFIC]),
    (&[907], &[Tz::America__Anchorage, Tz::America__Adak]),
    (&[808], &[Tz::Pacific__Honolulu]),
    (&[670, 671], &[Tz::Pacific__Guam]),
    (&[684], &[Tz::Pacific__Pago_Pago]),
    // Canada.
    (&[
        226, 249, 263, 289, 343, 354, 365, 367, 382, 416, 418, 437, 438, 450, 468, 514, 519, 548, 579, 581, 613, 647,
        683, 705, 742, 753, 819, 873, 905, 942,
    ], &[Tz::America__Toronto]),
    (&[204, 431, 584], &[Tz::America__Winnipeg]),
    (&[807], &[Tz::America__Toronto, Tz::America__Winnipeg]),
    (&[306, 474, 639], &[Tz::America__Regina, Tz::America__Edmonton]),
    (&[368, 403, 587, 780, 825], &[Tz::America__Edmonton]),
    (&[604], &[Tz::America__Vancouver]),
    (&[236, 250, 257, 672, 778], &[Tz::America__Vancouver, Tz::America__Edmonton]),
    (&[428, 506, 782, 902], &[Tz::America__Halifax]),
    (&[709, 879], &[Tz::America__St_Johns, Tz::America__Halifax]),
    (&[867], &[
        Tz::America__Whitehorse, Tz::America__Edmonton, Tz::America__Winnipeg, Tz::America__Iqaluit,
    ]),
    // Islands.
    (&[
        246, 264, 268, 284, 340, 473, 664, 721, 758, 767, 784, 787, 809, 829, 849, 868, 869, 939,
    ], &[ATLANTIC]),
    (&[242, 649], &[EASTERN]),
    (&[345, 658, 876], &[Tz::America__Jamaica]),
    (&[441], &[Tz::Atlantic__Bermuda]),
];

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn no_area_code_stands_in_two_places() {
        let mut seen = std::collections::BTreeSet::new();
        for (codes, _) in TABLE {
            for code in *codes {
                assert!((200..=999).contains(code) && code % 100 != 11, "{code} is no area code");
                assert!(seen.insert(*code), "{code} stands twice");
            }
        }
        assert!(seen.len() > 380, "only {} codes", seen.len());
    }
}
