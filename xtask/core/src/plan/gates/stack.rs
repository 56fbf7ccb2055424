//! Gate: the stack is in a state that can be deployed to, and its parameters fit its template.

use super::{Facts, Verdict};
use crate::fail::Problem;
use crate::plan::stack::StackAction;

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.stack {
        Err(problems) => Verdict::of("the parameters do not fit the template", problems.clone()),
        Ok(decision) if decision.action == StackAction::Refuse => {
            let stack = &facts.stack_name;
            let hint = format!(
                "look at it, repair or delete it: aws cloudformation describe-stack-events --stack-name {stack}"
            );
            let location = format!("stack `{stack}`");
            let problem = Problem::new("stack_state", location, &decision.reason, hint);
            Verdict::of(&format!("stack `{stack}` cannot be deployed"), vec![problem])
        }
        Ok(_) => Verdict::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use crate::plan::stack::Decision;

    #[test]
    fn a_stack_beyond_repair_is_refused_with_its_name() {
        let refuse = Decision::new(StackAction::Refuse, "an import failed and could not be undone");
        let refused = Facts { stack: Ok(refuse), ..facts() };
        let Verdict::Refused(headline, problems) = judge(&refused) else { panic!("it passed") };
        assert_eq!(headline, "stack `p-dev` cannot be deployed");
        assert!(problems[0].hint.contains("--stack-name p-dev"));
        let unfit = vec![Problem::new("unknown_parameter", "templates/master.yaml", "m", "h")];
        let Verdict::Refused(_, problems) = judge(&Facts { stack: Err(unfit.clone()), ..facts() }) else {
            panic!("it passed")
        };
        assert_eq!(problems, unfit);
    }
}
