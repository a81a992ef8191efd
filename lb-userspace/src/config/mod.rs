//! kube-proxy's configuration file, `KubeProxyConfiguration` (kubeproxy.config.k8s.io/v1alpha1), as kubeadm
//! writes it: what has a meaning here becomes the default of a flag, what has none is named (§1.8).
//!
//! As kube-proxy reads it: an empty text, a duration of 0 and `null` say nothing. Unlike there, a flag on the
//! command line and an environment variable win over the file.
//!
//! And kube-proxy's flags, where they are not Shunt's own ([`FLAGS`]).

mod check;
mod effective;
mod fields;
mod flags;

use serde_json::Value;

pub use effective::effective;
pub use fields::{FIELDS, Field, Meaning};
pub use flags::{FLAGS, FlagMeaning, KubeProxyFlag, Translated, translate};

/// The kind that is read.
const KIND: (&str, &str) = ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration");

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Long names of flags, each with its value.
    pub flags: Vec<(&'static str, String)>,
    /// What is there and does nothing here: the field and why.
    pub ignored: Vec<(String, String)>,
    /// `mode`, where it is said.
    pub mode: Option<String>,
}

/// The flag of node ports' addresses, and what it is in a mode where nobody says otherwise (NP-02).
pub fn implied(mode: &str) -> Option<(&'static str, String)> {
    (mode == "nftables").then(|| (NODE_PORT_ADDRESSES, "primary".to_owned()))
}

const NODE_PORT_ADDRESSES: &str = "nodeport-addresses";
/// kube-proxy's mode where none is named.
pub const DEFAULT_MODE: &str = "iptables";

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not YAML, nor JSON.
    #[error("it is not YAML: {0}")]
    Syntax(String),
    /// Something else.
    #[error("it is {found}, not {} of {}", KIND.1, KIND.0)]
    Kind {
        /// Its `apiVersion` and `kind`.
        found: String,
    },
    /// A value that makes no sense.
    #[error("{field}: {message}")]
    Field {
        /// As in `conntrack.min`.
        field: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads a file's text.
///
/// # Errors
///
/// Where a value makes no sense, by its field; a field that is not known is no error.
pub fn parse(text: &str) -> Result<Document, ConfigError> {
    let whole: Value =
        serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string()))?;
    let said = |field: &str| whole[field].as_str().unwrap_or("nothing").to_owned();
    if (said("apiVersion").as_str(), said("kind").as_str()) != KIND {
        return Err(ConfigError::Kind { found: format!("{} of {}", said("kind"), said("apiVersion")) });
    }
    let mode = match whole["mode"].as_str().unwrap_or_default() {
        "" => DEFAULT_MODE,
        mode => mode,
    };
    let mut document = Document {
        mode: whole["mode"].as_str().filter(|mode| !mode.is_empty()).map(str::to_owned),
        ..Document::default()
    };
    take(&whole, "", mode, &mut document)?;
    if !document.flags.iter().any(|(flag, _)| *flag == NODE_PORT_ADDRESSES) {
        document.flags.extend(implied(mode));
    }
    Ok(document)
}

/// Takes in a value and all below it.
fn take(value: &Value, path: &str, mode: &str, document: &mut Document) -> Result<(), ConfigError> {
    if let Some(field) = FIELDS.iter().find(|field| field.path == path) {
        return take_field(value, field, mode, document);
    }
    match value {
        Value::Object(fields) if path.is_empty() || fields::is_above_a_field(path) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                take(value, &path, mode, document)?;
            }
        }
        Value::Null => {}
        _ if fields::is_above_a_field(path) => {
            return Err(ConfigError::Field {
                field: path.to_owned(),
                message: check::is_no("an object", value),
            });
        }
        _ if matches!(path, "apiVersion" | "kind") => {}
        _ => document.ignored.push((path.to_owned(), "there is no such field".to_owned())),
    }
    Ok(())
}

fn take_field(value: &Value, field: &Field, mode: &str, document: &mut Document) -> Result<(), ConfigError> {
    let checked = (field.check)(value);
    let error = |message| ConfigError::Field { field: field.path.to_owned(), message };
    let Some(text) = checked.map_err(error)? else { return Ok(()) };
    let section = field.path.split_once('.').map(|(section, _)| section);
    let of_mode = section.filter(|section| matches!(*section, "iptables" | "ipvs" | "nftables"));
    match field.meaning {
        _ if of_mode.is_some_and(|section| section != mode) => {
            document.ignored.push((field.path.to_owned(), format!("the mode is {mode}")));
        }
        Meaning::Flag(flag) => document.flags.push((flag, text)),
        Meaning::FlagIf(wanted, flag, flag_value) if text == wanted => {
            document.flags.push((flag, flag_value.to_owned()));
        }
        Meaning::FlagIf(..) => {}
        Meaning::Nothing(why) => document.ignored.push((field.path.to_owned(), why.to_owned())),
        Meaning::NothingUnless(harmless, _) if text == harmless => {}
        Meaning::NothingUnless(_, why) => document.ignored.push((field.path.to_owned(), why.to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
