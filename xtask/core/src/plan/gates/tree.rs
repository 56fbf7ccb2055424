//! Gate: a protected environment gets what a commit has, and nothing else. Whoever looks for the cause of a failure,
//! or deploys again from another clone, finds the release there.

use super::{Fact, Facts, Verdict};
use crate::fail::Problem;
use crate::model::commit::Tree;
use crate::model::text::count;
use std::collections::BTreeMap;

/// More files than this are counted.
const FILES: usize = 20;

pub(super) fn judge(facts: &Facts) -> Verdict {
    // Before or after: nobody gives protection up by an edit that is in no commit.
    let protected = [&facts.before, &facts.after].into_iter().any(is_protected);
    match &facts.tree {
        Fact::Unneeded(why) => Verdict::Skipped(why),
        Fact::Known(_) if !protected => Verdict::Skipped("the environment is not protected"),
        Fact::Known(None) => {
            let note =
                "this tree is in no git repository: nobody can tell later what the release was made of";
            Verdict::Unsure(vec![note.to_owned()])
        }
        Fact::Known(Some(tree)) => {
            Verdict::of("a protected environment takes only what is in a commit", refused(tree))
        }
    }
}

fn is_protected(parameters: &BTreeMap<String, String>) -> bool {
    parameters.get("Protected").is_some_and(|protected| protected == "true")
}

fn refused(tree: &Tree) -> Vec<Problem> {
    let message = "differs from the commit, and the environment is protected";
    let hint = "commit it, or put it away: git stash --include-untracked";
    let problem = |place: String| Problem::new("dirty", place, message, hint);
    let mut problems: Vec<Problem> = tree.changed.iter().take(FILES).cloned().map(problem).collect();
    if let Some(more) = tree.changed.len().checked_sub(FILES).filter(|more| *more > 0) {
        problems.push(problem(format!("{} more", count(more, "file"))));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use crate::model::commit::Commit;

    fn told(before: &str, after: &str, changed: Option<usize>) -> Verdict {
        let parameters = |text: &str| BTreeMap::from([("Protected".to_owned(), text.to_owned())]);
        let tree = changed.map(|changed| Tree {
            commit: Commit { id: "abc".to_owned(), author: None, dirty: changed > 0 },
            changed: (0..changed).map(|number| format!("dags/{number}.py")).collect(),
        });
        let (before, after) = (parameters(before), parameters(after));
        judge(&Facts { before, after, tree: Fact::Known(tree), ..facts() })
    }

    #[test]
    fn a_dirty_tree_goes_to_unprotected_environments_only() {
        assert!(matches!(told("false", "false", Some(1)), Verdict::Skipped(_)));
        assert_eq!(told("true", "true", Some(0)), Verdict::Passed);
        let Verdict::Refused(headline, problems) = told("false", "true", Some(1)) else {
            panic!("it passed")
        };
        assert_eq!(headline, "a protected environment takes only what is in a commit");
        assert_eq!(problems[0].location, "dags/0.py");
        assert!(problems[0].hint.contains("git stash"), "{}", problems[0].hint);
        let Verdict::Refused(_, problems) = told("true", "false", Some(25)) else {
            panic!("an edit in no commit gave protection up")
        };
        assert_eq!((problems.len(), problems[20].location.as_str()), (21, "5 files more"));
    }

    #[test]
    fn a_tree_outside_git_and_a_recorded_release_are_not_refused() {
        assert!(matches!(told("true", "true", None), Verdict::Unsure(notes) if notes[0].contains("no git")));
        assert!(matches!(judge(&facts()), Verdict::Skipped("nothing is deployed")));
    }
}
