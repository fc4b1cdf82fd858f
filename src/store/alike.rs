//! Statements of few shapes. Both databases keep a prepared statement by its text, so that one for 200 rows and one for
//! 201 are prepared anew, each time; here rows and lists come in powers of two, and each shape is prepared once a
//! connection.

/// Splits rows into groups of powers of two, none larger than `most`: no statement reaches the databases' limits of bound
/// values.
pub(super) fn chunks<T>(rows: Vec<T>, most: usize) -> impl Iterator<Item = Vec<T>> {
    let mut left = rows.len();
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let size = power_below(left, most)?;
        left -= size;
        Some(rows.by_ref().take(size).collect())
    })
}

/// The same, of rows that stay where they are.
pub(super) fn slices<T>(rows: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let (slice, after) = rest.split_at(power_below(rest.len(), most)?);
        rest = after;
        Some(slice)
    })
}

/// A list to look for, made longer by its last value until its length is a power of two: the same things are found.
pub(super) fn padded<T: Clone>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

fn power_below(left: usize, most: usize) -> Option<usize> {
    Some(1 << left.min(most).checked_ilog2()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_every_length_is_a_power_of_two() {
        for length in [0_usize, 1, 2, 3, 7, 64, 100, 200, 1000, 1023] {
            let rows: Vec<usize> = (0..length).collect();
            let groups: Vec<Vec<usize>> = chunks(rows.clone(), 200).collect();
            assert!(groups.iter().all(|group| group.len().is_power_of_two() && group.len() <= 200), "{length}");
            assert_eq!(groups.concat(), rows);
            assert_eq!(slices(&rows, 200).collect::<Vec<_>>().concat(), rows);
            let list = padded(rows.clone());
            assert!(list.is_empty() || list.len().is_power_of_two());
            assert_eq!(&list[..length], rows);
            assert!(list.iter().all(|value| rows.contains(value)));
        }
    }
}
