//! Two releases beside each other, as text, Markdown or JSON.

use super::dags::{self, Marks, row};
use super::{Output, changes, markdown, plan};
use crate::model::change::{Change, flatten};
use crate::model::digest::Digest;
use crate::model::release::Release;
use crate::plan::comparison::{Comparison, Turns};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Debug)]
pub struct Diff {
    pub environment: String,
    pub comparison: Comparison,
}

impl Serialize for Diff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Comparison { from, to, parameters, contents, migration, dags, templates, packages } =
            &self.comparison;
        let side = |release: &Release| {
            json!({
                "release": release.id(),
                "commit": release.commit.as_ref().map(|commit| &commit.id),
                "author": release.commit.as_ref().and_then(|commit| commit.author.as_ref()),
                "dirty": release.commit.as_ref().is_some_and(|commit| commit.dirty),
            })
        };
        let artifact = |(name, (old, new)): (&str, (Option<Digest>, Option<Digest>))| {
            (name.to_owned(), json!({ "before": old, "after": new }))
        };
        let artifacts: serde_json::Map<String, Value> =
            self.comparison.artifacts().into_iter().map(artifact).collect();
        let unread = [
            ("dags", dags.as_ref().err()),
            ("templates", templates.as_ref().err()),
            ("packages", packages.as_ref().err()),
        ];
        let unread: serde_json::Map<String, Value> =
            unread.into_iter().filter_map(|(name, why)| Some((name.to_owned(), json!(why?)))).collect();
        let document = json!({
            "environment": self.environment,
            "from": side(from),
            "to": side(to),
            "same": self.comparison.is_empty(),
            "artifacts": artifacts,
            "parameters": parameters,
            "env": contents.env,
            "objects": contents.objects,
            "engine": contents.engine,
            "git": contents.git,
            "migration": migration,
            "dags": dags.as_ref().ok(),
            "templates": templates.as_ref().ok().map(|changes| rows(changes)),
            "packages": packages.as_ref().ok(),
            "unread": unread,
        });
        document.serialize(serializer)
    }
}

/// Parents first. Whether a resource would be replaced, only a change set tells: see `plan`.
fn rows(changes: &[Change]) -> Vec<Value> {
    let row = |change: &&Change| {
        json!({
            "path": change.path,
            "type": change.kind,
            "action": change.action.word(),
            "properties": change.reasons,
        })
    };
    flatten(changes).iter().map(row).collect()
}

/// `before → after`, and `none` where there is nothing.
fn turned(turns: &Turns) -> Vec<String> {
    let side = |text: &Option<String>| match text.as_deref() {
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => text.to_owned(),
    };
    turns
        .iter()
        .map(|(name, turn)| format!("{name}: {} → {}", side(&turn.before), side(&turn.after)))
        .collect()
}

fn side(release: &Release) -> String {
    let commit =
        release.commit.as_ref().map(|commit| format!(", commit {}", commit.shown())).unwrap_or_default();
    format!("{}{commit}", release.id())
}

/// What cannot be compared, a sentence each.
fn unread(comparison: &Comparison) -> Vec<String> {
    let parts = [
        ("DAGs", comparison.dags.as_ref().err()),
        ("templates", comparison.templates.as_ref().err()),
        ("packages", comparison.packages.as_ref().err()),
    ];
    parts.into_iter().filter_map(|(name, why)| Some(format!("{name} cannot be compared: {}", why?))).collect()
}

impl Output for Diff {
    fn text(&self) -> String {
        let comparison = &self.comparison;
        let mut out = String::new();
        row(&mut out, "from", &side(&comparison.from));
        row(&mut out, "to", &side(&comparison.to));
        if comparison.is_empty() {
            let _ = writeln!(out, "\nnothing that runs is different");
            return out;
        }
        for (name, text) in artifacts(comparison) {
            row(&mut out, "made of", &format!("{name} {text}"));
        }
        if let Some(change) = comparison.contents.engine {
            row(&mut out, "engine", &change.text());
        }
        if let Some(migration) = &comparison.migration {
            row(&mut out, "database", &migration.to_string());
        }
        if let Ok(dags) = &comparison.dags {
            for (word, text) in dags::rows(dags, Marks::Plain) {
                row(&mut out, "DAGs", &format!("{word}: {text}"));
            }
        }
        plan::contents(&mut out, &comparison.contents);
        if let Ok(packages) = &comparison.packages {
            row(&mut out, "packages", &turned(packages).join("\n"));
        }
        row(&mut out, "settings", &turned(&comparison.parameters).join("\n"));
        for why in unread(comparison) {
            row(&mut out, "note", &why);
        }
        match &comparison.templates {
            Ok(templates) if !templates.is_empty() => {
                let _ = write!(out, "\ntemplates\n{}", changes::text(templates));
            }
            _ => {}
        }
        out
    }

    fn markdown(&self) -> String {
        let Self { environment, comparison } = self;
        let mut out = String::new();
        let (from, to) = (comparison.from.id(), comparison.to.id());
        let _ = writeln!(out, "### `{environment}`: from release `{from}` to `{to}`\n");
        if comparison.is_empty() {
            let _ = writeln!(out, "Nothing that runs is different.");
            return out;
        }
        let mut table =
            vec![("from".to_owned(), side(&comparison.from)), ("to".to_owned(), side(&comparison.to))];
        table.extend(
            artifacts(comparison).into_iter().map(|(name, text)| (name.to_owned(), format!("`{text}`"))),
        );
        table.extend(comparison.contents.engine.map(|change| ("engine".to_owned(), change.text())));
        table.extend(
            comparison.migration.iter().map(|migration| ("database".to_owned(), migration.to_string())),
        );
        if let Ok(dags) = &comparison.dags {
            table.extend(dags::markdown(dags, environment).0);
        }
        table.extend(markdown::contents(&comparison.contents));
        let packages = comparison.packages.iter().flat_map(turned).map(|text| ("package", text));
        let parameters = turned(&comparison.parameters).into_iter().map(|text| ("parameter", text));
        let code = |text: String| format!("`{}`", text.replace('|', "\\|"));
        table.extend(packages.chain(parameters).map(|(name, text)| (name.to_owned(), code(text))));
        markdown::rows(&mut out, &table);
        for why in unread(comparison) {
            let _ = writeln!(out, "> {why}\n");
        }
        if let Some(templates) = comparison.templates.as_ref().ok().filter(|templates| !templates.is_empty())
        {
            let _ = writeln!(out, "Templates:\n\n```\n{}\n```", changes::text(templates).trim_end());
        }
        out
    }
}

/// `bundle 1a2b3c → 4d5e6f`
fn artifacts(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let side = |digest: Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.short());
    let told = |(name, (old, new))| (name, format!("{} → {}", side(old), side(new)));
    comparison.artifacts().into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::{ChangeAction, Evidence, Fate, Replacement};
    use crate::model::commit::Commit;
    use crate::model::dags::{DagDiff, DagEntry, DagIndex};
    use crate::model::release::{Parts, StackSpec};
    use crate::plan::comparison::{parameters, turns};
    use crate::plan::contents::Contents;
    use crate::report::plan::tests::target;

    fn with(bundle: &str, zones: &str) -> Release {
        let parameters = [
            ("ZoneCount", zones),
            ("AirflowConfig", r#"{"core.parallelism": "16", "core.load_examples": "False"}"#),
            ("EnvironmentVariables", r#"{"LAKE": "a"}"#),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let commit = Commit {
            id: format!("{bundle}00000000"),
            author: Some("Ada <a@example.com>".to_owned()),
            dirty: false,
        };
        Release::new(Parts {
            bundle: Digest::of(bundle.as_bytes()),
            stack: StackSpec { template: Digest::of(zones.as_bytes()), parameters },
            commit: Some(commit),
            ..(*target()).clone()
        })
    }

    fn diff() -> Diff {
        let (from, mut parts) = (with("a", "2"), (*with("b", "3")).clone());
        let config = r#"{"core.parallelism": "32", "core.load_examples": "False"}"#;
        parts.stack.parameters.insert("AirflowConfig".to_owned(), config.to_owned());
        parts.stack.parameters.insert("EnvironmentVariables".to_owned(), r#"{"LAKE": "b"}"#.to_owned());
        let to = Release::new(parts);
        let change = Change {
            path: "Network".to_owned(),
            kind: "AWS::EC2::Subnet".to_owned(),
            action: ChangeAction::Modify,
            replacement: Replacement::Never,
            fate: Fate::Deleted,
            reasons: vec!["CidrBlock".to_owned()],
            evidence: Evidence::Known,
            nested: Vec::new(),
        };
        let orders = DagEntry { dag_id: "orders".to_owned(), file: "a.py".to_owned(), ..DagEntry::default() };
        let map = |version: &str| [("attrs".to_owned(), version.to_owned())].into();
        let comparison = Comparison {
            parameters: turns(&parameters(&from), &parameters(&to)),
            contents: Contents::between(Some(&from), &to),
            migration: None,
            dags: Ok(DagDiff::between(&DagIndex::default(), &DagIndex(vec![orders]))),
            templates: Ok(vec![change]),
            packages: Ok(turns(&map("25.1"), &map("25.2"))),
            from,
            to,
        };
        Diff { environment: "dev".to_owned(), comparison }
    }

    #[test]
    fn everything_that_is_different_is_told() {
        let diff = diff();
        let text =
            diff.text().replace(diff.comparison.from.id(), "FROM").replace(diff.comparison.to.id(), "TO");
        insta::assert_snapshot!(text, @r"
        from     FROM, commit a000000 by Ada <a@example.com>
        to       TO, commit b000000 by Ada <a@example.com>
        made of  bundle ca978112ca1b → 3e23e8160039
        made of  templates d4735e3a265e → 4e07408562be
        DAGs     added: orders (no schedule)
        env      changed: LAKE
        packages attrs: 25.1 → 25.2
        settings AirflowConfig core.parallelism: 16 → 32
                 ZoneCount: 2 → 3

        templates
          ~ Network                         AWS::EC2::Subnet
              CidrBlock
        1 to change
        ");
    }

    #[test]
    fn the_json_has_both_values_and_no_variable_of_the_environment() {
        let value = serde_json::to_value(diff()).unwrap();
        let changed = &value["parameters"]["AirflowConfig core.parallelism"];
        assert_eq!(changed, &json!({ "before": "16", "after": "32" }));
        assert_eq!(value["parameters"].as_object().unwrap().len(), 2, "{value:#}");
        assert_eq!(value["env"]["changed"], json!(["LAKE"]));
        assert_eq!(value["dags"]["added"], json!(["orders"]));
        assert_eq!(value["packages"]["attrs"]["after"], "25.2");
        assert_eq!(value["templates"][0]["properties"], json!(["CidrBlock"]));
        assert_eq!((&value["same"], &value["unread"]), (&json!(false), &json!({})));
    }

    #[test]
    fn a_page_has_the_same() {
        let page = diff().markdown();
        for text in ["| package | `attrs: 25.1 → 25.2` |", "| parameter | `ZoneCount: 2 → 3` |", "~ Network"]
        {
            assert!(page.contains(text), "{page}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_said_and_the_rest_is_shown() {
        let mut diff = diff();
        diff.comparison.packages = Err("the registry does not answer".to_owned());
        let text = diff.text();
        assert!(
            text.contains("note     packages cannot be compared: the registry does not answer"),
            "{text}"
        );
        assert!(text.contains("ZoneCount: 2 → 3"), "{text}");
        let value = serde_json::to_value(&diff).unwrap();
        assert_eq!(
            (&value["packages"], &value["unread"]["packages"]),
            (&Value::Null, &json!("the registry does not answer"))
        );
    }

    #[test]
    fn a_release_is_not_different_from_itself() {
        let one = with("a", "2");
        let mut same = diff();
        (same.comparison.from, same.comparison.to) = (one.clone(), one);
        assert!(same.text().ends_with("nothing that runs is different\n"), "{}", same.text());
        assert!(same.markdown().contains("Nothing that runs is different"));
    }
}
