//! Gate: on this machine, the first deployment finds the ports that Airflow needs free.

use super::{Fact, Facts, Verdict};
use crate::fail::Problem;

/// The ports that Airflow needs on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub first: u16,
    pub last: u16,
    /// The first that another program has.
    pub taken: Option<u16>,
}

impl Ports {
    /// The problem, if one is taken; `file` is the environment file.
    #[must_use]
    pub fn problem(&self, file: &str) -> Option<Problem> {
        let (Self { first, last, .. }, port) = (self, self.taken?);
        let message = format!("port {port} of this machine is taken, and Airflow needs {first} to {last}");
        let hint = "stop the program that listens there, or set another `port` under `[airflow]`";
        Some(Problem::new("port_taken", format!("{file} `airflow.port`"), message, hint))
    }
}

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.ports {
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(ports) => {
            Verdict::of("Airflow could not listen", ports.problem(&facts.file).into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_key() {
        let at = |taken| Facts { ports: Fact::Known(Ports { first: 8080, last: 8083, taken }), ..facts() };
        assert_eq!(judge(&at(None)), Verdict::Passed);
        let Verdict::Refused(_, problems) = judge(&at(Some(8081))) else { panic!("port 8081 is taken") };
        assert_eq!(problems[0].message, "port 8081 of this machine is taken, and Airflow needs 8080 to 8083");
    }
}
