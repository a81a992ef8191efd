//! kube-proxy's configuration as it is in force: what flags, variables and the file came to, in the file's own form.

use serde_json::{Value, json};

use super::KIND;
use super::fields::{FIELDS, Field, Meaning};

/// The configuration that these flags are: `value_of` knows a flag by its long name. What says nothing, and what has
/// no meaning here, is left out; of the sections for modes there is the one that counts where no mode is named.
pub fn effective(value_of: impl Fn(&str) -> Option<String>) -> Value {
    let mut whole = json!({ "apiVersion": KIND.0, "kind": KIND.1 });
    let is_of_another_mode = |path: &str| path.starts_with("ipvs.") || path.starts_with("nftables.");
    for field in FIELDS.iter().filter(|field| !is_of_another_mode(field.path)) {
        let value = match field.meaning {
            Meaning::Flag(flag) => value_of(flag).and_then(|said| written(field, &said)),
            Meaning::FlagIf(wanted, flag, said) => {
                value_of(flag).filter(|value| value == said).and_then(|_| written(field, wanted))
            }
            Meaning::Nothing(_) | Meaning::NothingUnless(..) => None,
        };
        if let Some(value) = value {
            let pointer = field.path.split('.').fold(&mut whole, |above, name| &mut above[name]);
            *pointer = value;
        }
    }
    whole
}

/// A flag's value in the form that the field takes.
fn written(field: &Field, said: &str) -> Option<Value> {
    let number = said.parse::<i64>().ok().map(Value::from);
    let truth = said.parse::<bool>().ok().map(Value::from);
    let list = Some(said.split(',').collect::<Value>());
    let forms = [Some(Value::from(said)), number, truth, list];
    forms.into_iter().flatten().find(|form| matches!((field.check)(form), Ok(Some(_))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn what_is_in_force_is_a_file_that_says_the_same() {
        let flags = [
            ("bind-address", "192.0.2.1"),
            ("bind-address-hard-fail", "true"),
            ("cluster-cidr", "10.244.0.0/16,fd00::/64"),
            ("conntrack-max-per-core", "0"),
            ("conntrack-tcp-be-liberal", "false"),
            ("conntrack-tcp-timeout-close-wait", "1h"),
            ("healthz-bind-address", "0.0.0.0:10256"),
            ("masquerade", "always"),
            ("min-sync-period", "20ms"),
            ("nodeport-addresses", "192.168.0.0/16"),
            ("oom-score-adj", "-999"),
        ];
        let whole = effective(|flag| {
            flags.iter().find(|(name, _)| *name == flag).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!(whole["conntrack"]["maxPerCore"], 0);
        assert_eq!(whole["iptables"], json!({ "masqueradeAll": true, "minSyncPeriod": "20ms" }));
        assert_eq!(whole["nodePortAddresses"], json!(["192.168.0.0/16"]));
        assert_eq!(whole["conntrack"].get("tcpBeLiberal"), None, "false says nothing");
        let read = parse(&whole.to_string()).expect("a configuration");
        assert_eq!(read.ignored, []);
        let mut read: Vec<_> = read.flags.iter().map(|(flag, value)| (*flag, value.as_str())).collect();
        read.sort_unstable();
        let said: Vec<_> = flags.into_iter().filter(|(_, value)| *value != "false").collect();
        assert_eq!(read, said);
    }

    #[test]
    fn every_address_is_no_list_of_networks() {
        let whole = effective(|flag| (flag == "nodeport-addresses").then(|| "all".to_owned()));
        assert_eq!(whole.get("nodePortAddresses"), None);
    }
}
