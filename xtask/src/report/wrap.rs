//! Breaks prose into lines of a terminal's width, so that no terminal has to.

/// The width that every terminal has.
pub const WIDTH: usize = 80;

/// What a cure that can be pasted begins with.
const PROGRAMS: [&str; 11] =
    ["aws", "cargo", "chmod", "export", "git", "less", "mkdir", "mv", "python", "rm", "sudo"];

/// `text` in lines of at most [`WIDTH`] columns, each ended; the first begins with `first`, the others
/// with `rest`. Breaks at blanks, never within backticks. What follows the last colon is what a reader
/// copies: it stays in one line where it fits into one, and always where it is a command.
#[must_use]
pub fn wrap(first: &str, rest: &str, text: &str) -> String {
    let pieces = pieces(text, WIDTH.saturating_sub(rest.chars().count()));
    let lines = fill(first, rest, &pieces, WIDTH);
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// `text` in lines of at most `width` columns, broken at blanks only, never within backticks.
#[must_use]
pub fn lines(text: &str, width: usize) -> Vec<String> {
    fill("", "", &words(text), width)
}

fn fill(first: &str, rest: &str, pieces: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    let mut begun = false;
    for piece in pieces {
        let line = lines
            .last_mut()
            .filter(|line| !begun || line.chars().count() + 1 + piece.chars().count() <= width);
        match line {
            Some(line) => {
                line.push_str(if begun { " " } else { "" });
                line.push_str(piece);
            }
            None => lines.push(format!("{rest}{piece}")),
        }
        begun = true;
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// What must not be broken: words, spans in backticks, and perhaps the end.
fn pieces(text: &str, width: usize) -> Vec<String> {
    let words = words(text);
    let colon = words.iter().rposition(|word| word.ends_with(':')).map_or(words.len(), |at| at + 1);
    let (front, end) = words.split_at(colon);
    let whole = end.join(" ");
    let is_command = end.first().is_some_and(|word| PROGRAMS.contains(&word.as_str()));
    let mut pieces = front.to_vec();
    match end {
        [] => {}
        _ if is_command || whole.chars().count() <= width => pieces.push(whole),
        _ => pieces.extend(end.iter().cloned()),
    }
    pieces
}

/// Words as blanks part them; a blank within backticks parts nothing.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if open => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays() {
        assert_eq!(
            wrap("error: ", "  ", "it is so: do `this and  that`"),
            "error: it is so: do `this and  that`\n"
        );
        assert_eq!(wrap("error: ", "  ", ""), "error:\n");
    }

    #[test]
    fn prose_is_broken_at_blanks_and_not_within_backticks() {
        let text =
            "these words go on and on until the line is nearly full, then `a span of code` is not broken";
        insta::assert_snapshot!(wrap("hint: ", "      ", text), @r"
        hint: these words go on and on until the line is nearly full, then
              `a span of code` is not broken
        ");
    }

    #[test]
    fn the_end_is_whole_where_it_can_be_copied() {
        let text = "make the folder writable for you, whoever you may be: sudo chown -R you /a/folder";
        insta::assert_snapshot!(wrap("hint: ", "      ", text), @r"
        hint: make the folder writable for you, whoever you may be:
              sudo chown -R you /a/folder
        ");
        let long = format!("{text}{}", "/and/another/folder".repeat(4));
        assert!(wrap("hint: ", "      ", &long).lines().nth(1).unwrap().ends_with("folder"));
        assert_eq!(wrap("", "", &"word ".repeat(40)).lines().map(str::len).max(), Some(79));
    }
}
