//! How steps ask: shows changes of existing resources, and asks only if there is a reason to.

use super::Ui;
use crate::apply::context::Ask;
use crate::model::change::ChangeAction;
use crate::report::changes;
use std::sync::Arc;

#[must_use]
pub fn asker(ui: &Ui) -> Ask {
    let ui = ui.clone();
    Arc::new(move |question| {
        if question.changes.iter().any(|change| change.action != ChangeAction::Add) {
            ui.say(changes::text(&question.changes).trim_end());
        }
        if question.reasons.is_empty() {
            return Ok(());
        }
        ui.consent(&format!("{}\nContinue?", question.reasons.join("\n")))
    })
}
