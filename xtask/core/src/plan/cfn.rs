//! A CloudFormation template as JSON: short forms spelled out, comments and order gone. Pure conversion.

use super::yaml::{Kind, Node};
use saphyr_parser::ScalarStyle;
use serde_json::{Map, Value, json};

/// The node in CloudFormation's JSON form; line and message where it has none.
pub fn value(node: &Node) -> Result<Value, (usize, String)> {
    let plain = match &node.kind {
        Kind::Scalar { text, style } => scalar(text, *style == ScalarStyle::Plain && node.tag.is_none()),
        Kind::Sequence(items) => Value::Array(items.iter().map(value).collect::<Result<_, _>>()?),
        Kind::Mapping(entries) => {
            let mut map = Map::new();
            for (key, inner) in entries {
                let Some(name) = key.text() else {
                    return Err((key.line, "the key is not a plain string".to_owned()));
                };
                map.insert(name.to_owned(), value(inner)?);
            }
            Value::Object(map)
        }
        Kind::Alias => return Err((node.line, "CloudFormation takes no aliases".to_owned())),
    };
    Ok(match node.tag.as_deref().map(|tag| tag.trim_start_matches('!')) {
        None => plain,
        Some(tag @ ("Ref" | "Condition")) => json!({ tag: plain }),
        Some("GetAtt") => json!({ "Fn::GetAtt": get_att(plain) }),
        Some(function) => json!({ format!("Fn::{function}"): plain }),
    })
}

/// `a.b.c` as `["a", "b.c"]`.
fn get_att(argument: Value) -> Value {
    match argument.as_str().and_then(|text| text.split_once('.')) {
        Some((id, attribute)) => json!([id, attribute]),
        None => argument,
    }
}

fn scalar(text: &str, plain: bool) -> Value {
    match text {
        _ if !plain => json!(text),
        "true" => json!(true),
        "false" => json!(false),
        "" | "~" | "null" => Value::Null,
        // Only what is written back the same way is a number: not 0644, 1.0 or an account's id with zeros.
        _ => text
            .parse::<i64>()
            .ok()
            .filter(|n| n.to_string() == text)
            .map_or_else(|| json!(text), |n| json!(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::yaml::parse;

    #[test]
    fn short_forms_are_spelled_out_and_scalars_keep_their_kind() {
        let text = "a: !Ref X\nb: !GetAtt X.Outputs.Y\nc: !If [C, !Sub 'x${Y}', '5']\nd: [5, 2012-10-17, true, 0644, '']\n\
                    e: !GetAtt [X, Arn]\nf:\n  Fn::Base64: !Sub |\n    text\ng: !Condition Q\n";
        let expected = json!({
            "a": {"Ref": "X"},
            "b": {"Fn::GetAtt": ["X", "Outputs.Y"]},
            "c": {"Fn::If": ["C", {"Fn::Sub": "x${Y}"}, "5"]},
            "d": [5, "2012-10-17", true, "0644", ""],
            "e": {"Fn::GetAtt": ["X", "Arn"]},
            "f": {"Fn::Base64": {"Fn::Sub": "text\n"}},
            "g": {"Condition": "Q"},
        });
        assert_eq!(value(&parse(text).unwrap()), Ok(expected));
    }

    #[test]
    fn what_json_cannot_say_is_refused_with_its_line() {
        assert_eq!(value(&parse("a: 1\nb: &x 1\nc: *x").unwrap()).unwrap_err().0, 3);
        assert_eq!(value(&parse("a: 1\n[b]: 2").unwrap()).unwrap_err().0, 2);
    }
}
