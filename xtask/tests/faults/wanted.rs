//! Which parts of the matrix are run.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What passes by itself.
    Default,
    All,
    /// What has all these words in its name.
    Named(Vec<String>),
}

impl Wanted {
    /// As `DUCTWORK_ALL_FAULTS` says.
    pub fn told() -> Self {
        Self::of(std::env::var("DUCTWORK_ALL_FAULTS").ok().as_deref())
    }

    fn of(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::Default,
            Some("1") => Self::All,
            Some(words) => Self::Named(words.split_whitespace().map(str::to_owned).collect()),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Default => name == "lap mixed",
            Self::All => true,
            Self::Named(words) => words.iter().all(|word| name.contains(word)),
        }
    }
}

#[test]
fn parts_are_chosen_by_words_of_their_names() {
    let name = "Stack cloudformation:CreateChangeSet garbled";
    let cases = [
        (None, false),
        (Some("1"), true),
        (Some("CreateChangeSet garbled"), true),
        (Some("CreateChangeSet 500"), false),
    ];
    for (text, is_wanted) in cases {
        assert_eq!(Wanted::of(text).has(name), is_wanted, "{text:?}");
    }
    assert!(Wanted::of(None).has("lap mixed"));
}
