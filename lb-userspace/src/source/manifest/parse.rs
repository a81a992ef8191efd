//! Bytes to documents: YAML 1.2 or JSON, neither of which can make this run out of memory or stack.

use serde_json::Value;
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use crate::source::Problem;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// The line it begins at, counted from 1, where the format tells.
    pub(super) line: Option<u64>,
    /// What it holds.
    pub(super) value: Value,
}

/// The documents of a file; empty ones (nothing but comments between two separators) are none.
///
/// # Errors
///
/// The file as a whole is not one: where it goes wrong decides what else would be understood, so nothing is.
pub(super) fn documents(file: &str, bytes: &[u8]) -> Result<Vec<Document>, Box<Problem>> {
    if bytes.is_empty() {
        // Many programs truncate a file first and write it then. Taking this for «nothing here» would take
        // Services away for as long as that lasts.
        return Err(Problem::of_file(file, "is empty: delete it to take away what it held").into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Box::new(Problem { line: Some(line), ..Problem::of_file(file, "is not UTF-8") })
    })?;
    if file.ends_with(".json") { json(file, text) } else { yaml(file, text) }
}

fn json(file: &str, text: &str) -> Result<Vec<Document>, Box<Problem>> {
    serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'))
        .into_iter()
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .map(|value| match value {
            Ok(value) => Ok(Document { line: None, value }),
            Err(error) => {
                let line = Some(error.line() as u64);
                Err(Box::new(Problem { line, ..Problem::of_file(file, error.to_string()) }))
            }
        })
        .collect()
}

fn yaml(file: &str, text: &str) -> Result<Vec<Document>, Box<Problem>> {
    let options = serde_saphyr::options! {
        // `yes` and `on` are text: YAML 1.2.
        strict_booleans: true,
        with_snippet: false,
        emit_comments: false,
        // What a file of the greatest size can hold, so that the size is the only limit one meets.
        budget: serde_saphyr::budget! {
            max_documents: 200_000,
            max_events: 10_000_000,
            max_nodes: 5_000_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    let values =
        serde_saphyr::from_multiple_with_options::<Spanned<Value>>(text, options).map_err(|error| {
            let message = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
            Box::new(Problem {
                line: error.location().map(|at| at.line()),
                ..Problem::of_file(file, message)
            })
        })?;
    Ok(values
        .into_iter()
        .map(|value| Document { line: Some(value.referenced.line()), value: value.value })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn parsed(file: &str, text: &str) -> Vec<(Option<u64>, Value)> {
        let documents = documents(file, text.as_bytes()).unwrap();
        documents.into_iter().map(|document| (document.line, document.value)).collect()
    }

    #[track_caller]
    fn refused(file: &str, bytes: &[u8]) -> String {
        documents(file, bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_document_of_a_file_is_found_with_its_line() {
        let text = "# of one\na: 1\n---\n# nothing here\n---\n\nb: [2]\n...\n---\nc: yes\n";
        assert_eq!(
            parsed("a.yaml", text),
            [(Some(2), json!({"a": 1})), (Some(7), json!({"b": [2]})), (Some(10), json!({"c": "yes"}))]
        );
        assert_eq!(parsed("a.json", "{\"a\":1}\n\n[2]"), [(None, json!({"a": 1})), (None, json!([2]))]);
        assert_eq!(parsed("a.yaml", "# nothing\n"), []);
    }

    #[test]
    fn what_doesnt_parse_is_said_with_its_line() {
        for (file, text, expected) in [
            ("a.yaml", "a: 1\n b: 2\n", "a.yaml:2: mapping values are not allowed in this context"),
            ("a.yaml", "a: 1\na: 2\n", "a.yaml:2: duplicate mapping key: a not allowed here"),
            ("a.yaml", "a: *b\n", "a.yaml:1: reference to unknown value"),
            ("a.json", "{\"a\":\n1,}", "a.json:2: trailing comma at line 2 column 3"),
            ("a.yaml", "", "a.yaml: is empty: delete it to take away what it held"),
        ] {
            assert_eq!(refused(file, text.as_bytes()), expected);
        }
        assert_eq!(refused("a.yaml", b"a: 1\nb: \xff"), "a.yaml:2: is not UTF-8");
    }

    #[test]
    fn neither_depth_nor_aliases_nor_cycles_exhaust_anything() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (before, name) in ('a'..='j').zip('b'..='k') {
            let again = format!("*{before},").repeat(9);
            bomb += &format!("{name}: &{name} [{again}]\n");
        }
        refused("a.yaml", bomb.as_bytes());
        refused("a.yaml", "[".repeat(1 << 20).as_bytes());
        refused("a.yaml", "- ".repeat(1 << 20).as_bytes());
        refused("a.yaml", b"&a [*a]");
        refused("a.json", "[".repeat(1 << 20).as_bytes());
    }
}
