//! How steps ask: shows the changes of what is there, asks only where there is a reason to.

use super::ui::Ui;
use crate::apply::context::Ask;
use crate::model::change::Action;
use crate::report::changes;
use std::sync::Arc;

#[must_use]
pub fn asker(ui: &Ui) -> Ask {
    let ui = ui.clone();
    Arc::new(move |question| {
        if question.changes.iter().any(|change| change.action != Action::Add) {
            ui.say(changes::text(&question.changes).trim_end());
        }
        if question.reasons.is_empty() {
            return Ok(());
        }
        ui.consent(&format!("{}\nGo on?", question.reasons.join("\n")))
    })
}
