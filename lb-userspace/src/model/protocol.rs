//! A protocol in JSON, by its name: `TCP`.

use std::borrow::Cow;

use lb_common::Proto;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(proto: &Proto, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(proto)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Proto, D::Error> {
    let name = Cow::<'de, str>::deserialize(deserializer)?;
    name.parse().map_err(|_| D::Error::custom(format!("{name:?} is no protocol of a Service port")))
}
