//! How a command that was run once ended, or where it goes on.

use super::Output;
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// The task of ECS, or the command of Systems Manager.
    pub id: String,
    /// None if it goes on.
    pub exit_code: Option<i32>,
    /// What shows how it goes on.
    #[serde(skip)]
    pub look: String,
}

impl Output for Ran {
    /// What the command itself said has been told.
    fn text(&self) -> String {
        match self.exit_code {
            Some(_) => String::new(),
            None => format!("started {}\nlook at it   {}\n", self.id, self.look),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_on_tells_how_to_look_at_it() {
        let ran = |exit_code| Ran { id: "t-1".to_owned(), exit_code, look: "aws x".to_owned() };
        assert_eq!(ran(None).text(), "started t-1\nlook at it   aws x\n");
        assert_eq!(ran(Some(0)).text(), "");
        assert_eq!(serde_json::to_string(&ran(Some(3))).unwrap(), r#"{"id":"t-1","exit_code":3}"#);
    }
}
