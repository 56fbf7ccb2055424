//! Sockets of this machine.

use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// Whether a server could listen on a port of this machine.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether anything listens where a URL leads to, so that nobody waits for the end of all retries.
#[must_use]
pub fn answers(url: &str) -> bool {
    let (secure, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme == "https", rest),
        None => (false, url),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or_default()),
        None => (authority, if secure { 443 } else { 80 }),
    };
    let Ok(mut addresses) = (host.trim_matches(['[', ']']), port).to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_answers_and_a_closed_port_does_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(answers(&format!("http://127.0.0.1:{port}/x")) && !is_free(port));
        drop(listener);
        assert!(!answers(&format!("http://127.0.0.1:{port}")) && is_free(port));
        assert!(!answers("https://no-such-host.invalid"));
    }
}
