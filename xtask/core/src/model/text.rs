//! Words for numbers, used in messages of every layer.

/// `1 file`, `2 files`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `512 B`, `4.2 kB`, `38 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB"] {
        if value < 1000.0 {
            let digits = usize::from(value < 10.0 && unit != "B");
            return format!("{value:.digits$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} GB")
}

/// `42 s ago`, `3 min ago`, `5 h ago`, `12 days ago`.
#[must_use]
pub fn ago(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time that has passed, in seconds"
    )]
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// The last lines of what a program said; its reason is there.
#[must_use]
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// `big-fish` as `BigFish`: a word of letters and digits, as in CloudFormation's logical ids.
#[must_use]
pub fn pascal_case(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// Bytes, and how many of them in a second: `38 MB, 12 MB/s`.
#[must_use]
pub fn pace(moved: u64, took: std::time::Duration) -> String {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people"
    )]
    let rate = (moved as f64 / took.as_secs_f64().max(0.001)) as u64;
    format!("{}, {}/s", bytes(moved), bytes(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_twelve_lines_in_their_order() {
        let text: String = (0..20).map(|n| format!("{n}\n")).collect();
        assert_eq!(tail(&text), "8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19");
        assert_eq!(tail("a\nb"), "a\nb");
    }

    #[test]
    fn logical_ids_have_letters_and_digits_only() {
        assert_eq!(["big-fish", "a", "x_1.y"].map(pascal_case), ["BigFish", "A", "X1Y"]);
        assert_eq!(pascal_case("größe"), "GrE");
    }

    #[test]
    fn units_are_chosen_for_people() {
        assert_eq!([bytes(512), bytes(4_200), bytes(38_000_000)], ["512 B", "4.2 kB", "38 MB"]);
        assert_eq!([count(1, "file"), count(2, "file")], ["1 file", "2 files"]);
    }
}
