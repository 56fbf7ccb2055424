//! Why a service without an SDK crate gave no answer that can be used.

use super::failure::is_passing_code;
use serde_json::Value;
use std::fmt;

/// No answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The service's own code and message.
    Error { code: String, message: String },
    /// Nothing came back, or nothing that can be understood.
    Silent(String),
}

impl Refused {
    /// The service's own code, empty if it said nothing.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Error { code, .. } => code,
            Self::Silent(_) => "",
        }
    }

    /// Throttling, a broken connection, a fault of the service.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.code().is_empty() || is_passing_code(self.code())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { code, message } if message.is_empty() => f.write_str(code),
            Self::Error { code, message } => write!(f, "{code}: {message}"),
            Self::Silent(why) => f.write_str(why),
        }
    }
}

/// JSON services name the code in `__type`, all others in an element `Code`.
pub(super) fn refusal(status: u16, text: &str) -> Refused {
    let (code, message) = match serde_json::from_str::<Value>(text) {
        Ok(json) => {
            let word =
                |names: [&str; 2]| names.iter().find_map(|name| json[*name].as_str()).unwrap_or_default();
            let code = word(["__type", "code"]);
            (code.rsplit('#').next().unwrap_or_default().to_owned(), word(["message", "Message"]).to_owned())
        }
        Err(_) => (element(text, "Code"), element(text, "Message")),
    };
    if code.is_empty() {
        Refused::Silent(format!("unexpected answer with status {status}"))
    } else {
        Refused::Error { code, message }
    }
}

fn element(text: &str, name: &str) -> String {
    let Ok(document) = roxmltree::Document::parse(text) else { return String::new() };
    let found = document.descendants().find(|node| node.tag_name().name() == name);
    found.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
}
