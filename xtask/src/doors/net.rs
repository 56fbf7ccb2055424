//! Sockets of this machine.

use std::net::{Ipv4Addr, TcpListener};

/// Whether a server could listen on a port of this machine.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
