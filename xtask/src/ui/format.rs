//! What standard output gets: text for people, or one JSON document.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document on standard output.
    Json,
    /// For a page, such as a pull request.
    Markdown,
}

impl Format {
    /// What a command line that cannot be parsed asks for.
    #[must_use]
    pub fn of_words(words: impl Iterator<Item = String>) -> Self {
        let words: Vec<String> = words.collect();
        let json = words.iter().any(|word| word == "--format=json")
            || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
        if json { Self::Json } else { Self::Text }
    }
}
