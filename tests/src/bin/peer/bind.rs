//! One bind, and which errno there was.

use std::net::SocketAddr;
use std::time::Duration;

use lb_tests::wire::{BindReport, Failure, Step, Transport};

use crate::socket::{self, At};

#[derive(clap::Args)]
pub(crate) struct Bind {
    /// TCP is listened on as well
    transport: Transport,
    /// Address and port; an IPv6 socket takes both families where the address is `::`
    address: SocketAddr,
}

impl Bind {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let failure = bind(self.transport, self.address).err();
        println!("{}", serde_json::to_string(&BindReport { address: self.address, failure })?);
        Ok(())
    }
}

fn bind(transport: Transport, address: SocketAddr) -> Result<(), Failure> {
    let socket = socket::open(transport, address, Duration::from_secs(5)).at(Step::Socket)?;
    socket.bind(&address.into()).at(Step::Bind)?;
    if transport == Transport::Tcp {
        socket.listen(1).at(Step::Bind)?;
    }
    Ok(())
}
