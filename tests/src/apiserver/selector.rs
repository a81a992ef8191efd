//! Label and field selectors, as far as a Service proxy's queries go.

use serde_json::Value;

/// What a query selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    place: Place,
    /// `None` for any value at all.
    value: Option<String>,
    /// What doesn't match is selected.
    is_negated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Label(String),
    /// A path as in `spec.clusterIP`.
    Field(String),
}

impl Selector {
    /// From `labelSelector` and `fieldSelector`; `Err` with what is not understood.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for text in labels.split(',').filter(|text| !text.is_empty()) {
            terms.push(term(text, Place::Label)?);
        }
        for text in fields.split(',').filter(|text| !text.is_empty()) {
            let term = term(text, Place::Field)?;
            if term.value.is_none() {
                return Err(format!("invalid field selector: {text:?}"));
            }
            terms.push(term);
        }
        Ok(Self { terms })
    }

    /// Whether an object is selected.
    pub(super) fn selects(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| {
            let found = match &term.place {
                Place::Label(name) => object["metadata"]["labels"].get(name).and_then(Value::as_str),
                Place::Field(path) => Some(field(object, path)),
            };
            let matches = match &term.value {
                None => found.is_some(),
                Some(value) => found == Some(value),
            };
            matches != term.is_negated
        })
    }
}

fn term(text: &str, place: fn(String) -> Place) -> Result<Term, String> {
    let (name, value, is_negated) = if let Some((name, value)) = text.split_once("!=") {
        (name, Some(value), true)
    } else if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (name, Some(value), false)
    } else if let Some(name) = text.strip_prefix('!') {
        (name, None, true)
    } else {
        (text, None, false)
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("unable to parse requirement: {text:?}"));
    }
    Ok(Term { place: place(name.to_owned()), value: value.map(str::to_owned), is_negated })
}

/// A field that is absent is empty, as it is to a real server.
fn field<'a>(object: &'a Value, path: &str) -> &'a str {
    path.split('.').fold(object, |value, name| &value[name]).as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_selectors_of_a_service_proxy_select_as_a_real_server_does() {
        let ours = json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "10.96.0.1"}});
        let labelled = json!({"metadata": {"labels": {"example.com/x": ""}}, "spec": {"clusterIP": ""}});
        let headless = json!({"spec": {"clusterIP": "None"}});
        let select = |labels, fields| {
            let selector = Selector::parse(labels, fields).unwrap();
            [&ours, &labelled, &headless].map(|object| selector.selects(object))
        };
        assert_eq!(select("!example.com/x", ""), [true, false, true]);
        assert_eq!(select("example.com/x", ""), [false, true, false]);
        assert_eq!(select("", "spec.clusterIP!=None"), [true, true, false]);
        assert_eq!(select("!example.com/x", "spec.clusterIP!=None"), [true, false, false]);
        assert_eq!(select("", "metadata.name=a"), [true, false, false]);
        assert!(Selector::parse("a b", "").is_err());
        assert!(Selector::parse("", "metadata.name").is_err());
    }
}
