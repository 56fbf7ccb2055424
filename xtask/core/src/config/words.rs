//! Puts lists of words into sentences, and finds the known word that a misspelt one probably means.

/// Words as a choice: `` `a`, `b` or `c` ``.
#[must_use]
pub(crate) fn list(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The known word closest to `word`, if it takes few enough edits to get there: one, and one more for
/// every four letters. Swapping two neighbouring letters counts as a single edit.
#[must_use]
pub fn nearest<'k, W: AsRef<str>>(word: &str, known: impl IntoIterator<Item = &'k W>) -> Option<&'k W> {
    let allowed = 1 + word.chars().count() / 4;
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate.as_ref()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_one_edit_and_so_is_a_letter_more_or_less() {
        for (word, known, near) in [
            ("regoin", "region", true),
            ("sport", "port", true),
            ("a", "b", true),
            ("", "ab", false),
            ("abc", "cab", false),
            ("concurency", "concurrency", true),
        ] {
            assert_eq!(nearest(word, &[known]).is_some(), near, "{word} {known}");
        }
    }

    #[test]
    fn the_closest_word_wins() {
        assert_eq!(nearest("mun", &["max", "min", "mud"]), Some(&"min"));
    }

    #[test]
    fn lists_read_like_a_sentence() {
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
