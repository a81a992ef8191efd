//! Whether a value makes sense: `None` where it says nothing, else as a flag would have it.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

/// What a value comes to, or what is wrong with it.
pub(super) type Checked = Result<Option<String>, String>;

/// What was expected and what is there.
pub(super) fn is_no(expected: &str, value: &Value) -> String {
    format!("{value} is not {expected}")
}

pub(super) fn text(value: &Value) -> Checked {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(is_no("a text", value)),
    }
}

pub(super) fn truth(value: &Value) -> Checked {
    match value {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some("true".to_owned())),
        _ => Err(is_no("true or false", value)),
    }
}

/// Also where it is false.
pub(super) fn truth_said(value: &Value) -> Checked {
    match value {
        Value::Bool(said) => Ok(Some(said.to_string())),
        _ => truth(value),
    }
}

/// 0 or more; 0 says something.
pub(super) fn count(value: &Value) -> Checked {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) if number.as_u64().is_some_and(|number| number <= 0x7fff_ffff) => {
            Ok(Some(number.to_string()))
        }
        _ => Err(is_no("a whole number from 0 to 2147483647", value)),
    }
}

/// 0 says nothing.
pub(super) fn number(value: &Value) -> Checked {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(None),
        Value::Number(number) if number.as_f64().is_some_and(|number| number > 0.0) => {
            Ok(Some(number.to_string()))
        }
        Value::Null => Ok(None),
        _ => Err(is_no("a number of 0 or more", value)),
    }
}

pub(super) fn oom_score(value: &Value) -> Checked {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) if number.as_i64().is_some_and(|score| (-1000..=1000).contains(&score)) => {
            Ok(Some(number.to_string()))
        }
        _ => Err(is_no("a whole number from -1000 to 1000", value)),
    }
}

pub(super) fn masquerade_bit(value: &Value) -> Checked {
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|bit| bit > 31) => {
            Err(is_no("a bit from 0 to 31", value))
        }
        _ => count(value),
    }
}

/// A duration of 0 says nothing.
pub(super) fn duration(value: &Value) -> Checked {
    Ok(duration_said(value)?.filter(|text| parse_duration(text) != Ok(Duration::ZERO)))
}

/// Where it is not said there is `null`: 0 says something.
pub(super) fn duration_said(value: &Value) -> Checked {
    let Some(said) = text(value)? else { return Ok(None) };
    match parse_duration(&said) {
        Ok(_) => Ok(Some(said)),
        Err(()) => Err(is_no("a duration such as 1h30m, 0 or longer", value)),
    }
}

fn parse_duration(said: &str) -> Result<Duration, ()> {
    if said == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::SignedDuration = said.parse().map_err(|_| ())?;
    Duration::try_from(span).map_err(|_| ())
}

pub(super) fn ip(value: &Value) -> Checked {
    let Some(said) = text(value)? else { return Ok(None) };
    said.parse::<IpAddr>().map_err(|_| is_no("an IP address", value))?;
    Ok(Some(said))
}

/// An IP address, with a port or without.
pub(super) fn ip_port(value: &Value) -> Checked {
    let Some(said) = text(value)? else { return Ok(None) };
    let is_one = said.parse::<IpAddr>().is_ok() || said.parse::<std::net::SocketAddr>().is_ok();
    if is_one { Ok(Some(said)) } else { Err(is_no("an IP address and port", value)) }
}

/// One network, or one of each family with a comma between.
pub(super) fn cluster_cidr(value: &Value) -> Checked {
    let Some(said) = text(value)? else { return Ok(None) };
    let nets: Result<Vec<IpNet>, _> = said.split(',').map(|net| net.trim().parse()).collect();
    let is_sound =
        |nets: &[IpNet]| matches!(nets, [_] | [IpNet::V4(_), IpNet::V6(_)] | [IpNet::V6(_), IpNet::V4(_)]);
    match nets {
        Ok(nets) if is_sound(&nets) => Ok(Some(said)),
        _ => Err(is_no("one network, or one of each family with a comma between", value)),
    }
}

/// A list of networks, or the word `primary` alone.
pub(super) fn node_port_addresses(value: &Value) -> Checked {
    let Some(items) = list(value)? else { return Ok(None) };
    let is_primary = items == ["primary"];
    if is_primary || items.iter().all(|item| item.parse::<IpNet>().is_ok()) {
        return Ok(Some(items.join(",")));
    }
    Err(is_no("a list of networks such as 192.168.0.0/16, or [primary]", value))
}

/// A list of texts; none says nothing.
pub(super) fn texts(value: &Value) -> Checked {
    Ok(list(value)?.map(|items| items.join(",")))
}

fn list(value: &Value) -> Result<Option<Vec<&str>>, String> {
    let Value::Array(items) = value else {
        return if value.is_null() { Ok(None) } else { Err(is_no("a list of texts", value)) };
    };
    let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let items = items.ok_or_else(|| is_no("a list of texts", value))?;
    Ok(Some(items).filter(|items| !items.is_empty()))
}

pub(super) fn proxy_mode(value: &Value) -> Checked {
    let said = text(value)?;
    match said.as_deref() {
        None | Some("iptables" | "ipvs" | "nftables" | "kernelspace") => Ok(said),
        Some(_) => Err(is_no("iptables, ipvs or nftables", value)),
    }
}

pub(super) fn detect_local_mode(value: &Value) -> Checked {
    let said = text(value)?;
    match said.as_deref() {
        None | Some("ClusterCIDR" | "NodeCIDR" | "BridgeInterface" | "InterfaceNamePrefix") => Ok(said),
        Some(_) => Err(is_no("ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix", value)),
    }
}

/// A part that is passed over as a whole; it says nothing where nothing in it does.
pub(super) fn part(value: &Value) -> Checked {
    Ok((!is_empty(value)).then(|| value.to_string()))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "" | "0" | "0s"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}
