//! What is counted in the kernel, read when it is asked for.

use std::fmt;

use lb_common::Counter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::names;
use crate::datapath::{self, DatapathError, Fill, KernelStore, Pins};
use crate::show::counters::describe;

/// How often each thing counted has happened, and the fill of each map.
type Read = (Vec<(Counter, u64)>, Vec<Fill>);

/// Counters of the programs, and how full the maps are.
#[derive(Debug)]
pub struct KernelFigures {
    pins: Pins,
}

impl KernelFigures {
    /// Those of the datapath that is pinned there.
    pub fn new(pins: Pins) -> Self {
        Self { pins }
    }

    fn read(&self) -> Result<Read, DatapathError> {
        let store = KernelStore::open(&self.pins)?;
        Ok((store.counters()?, datapath::fills(&self.pins, &store)?))
    }
}

impl Collector for KernelFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        match self.read() {
            Ok((counters, fills)) => write(&mut encoder, &counters, &fills),
            // The rest is told all the same.
            Err(error) => {
                tracing::warn!("metrics of the kernel are left out: {:#}", anyhow::Error::from(error));
                Ok(())
            }
        }
    }
}

/// Writes them; each word is one that `shunt status` has too.
pub(super) fn write(
    encoder: &mut DescriptorEncoder<'_>,
    counters: &[(Counter, u64)],
    fills: &[Fill],
) -> fmt::Result {
    let (name, help) = names::DATAPATH;
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (counter, times) in counters {
        let labels = [("became", describe(*counter).0), ("what", counter.name())];
        ConstCounter::new(*times).encode(family.encode_family(&labels)?)?;
    }
    let entries: fn(&Fill) -> u64 = |fill| fill.entries;
    for ((name, help), number) in
        [(names::MAP_ENTRIES, entries), (names::MAP_CAPACITY, |fill: &Fill| fill.capacity)]
    {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for fill in fills {
            ConstGauge::new(number(fill)).encode(family.encode_family(&[("map", fill.map)])?)?;
        }
    }
    Ok(())
}
