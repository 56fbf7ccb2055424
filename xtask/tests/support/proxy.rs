//! Stands before a server of this machine and does to some requests what a network or a rival would.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

/// What becomes of a request.
pub enum Fate {
    Pass,
    /// The connection ends without an answer.
    Cut,
    /// Somebody else answers.
    Answer(&'static str),
}

pub struct Proxy {
    pub port: u16,
}

impl Proxy {
    /// `decide` is given the first line of each request. It lives as long as the test's process.
    pub fn before(port: u16, decide: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let decide = Arc::new(decide);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let decide = decide.clone();
                std::thread::spawn(move || drop(serve(client, port, &*decide)));
            }
        });
        Self { port: own }
    }
}

fn serve(mut client: TcpStream, port: u16, decide: &dyn Fn(&str) -> Fate) -> std::io::Result<()> {
    let (head, rest) = head(&mut client)?;
    let first = head.lines().next().unwrap_or_default().to_owned();
    match decide(&first) {
        Fate::Cut => return client.shutdown(Shutdown::Both),
        Fate::Answer(text) => {
            let length = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
            let text =
                text.replacen("\r\n", &format!("\r\nContent-Length: {length}\r\nConnection: close\r\n"), 1);
            return client.write_all(text.as_bytes());
        }
        Fate::Pass => {}
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    // One request per connection, so that each is decided on.
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes())?;
    server.write_all(&rest)?;
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    let sending = std::thread::spawn(move || std::io::copy(&mut up, &mut server));
    std::io::copy(&mut down, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    drop(sending.join());
    Ok(())
}

/// Everything up to the empty line, and what has come of the body with it.
fn head(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = client.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
