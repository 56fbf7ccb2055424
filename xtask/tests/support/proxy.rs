//! Stands before a server of this machine and does to some requests what a network, a service or a rival would; it can
//! also make every answer come later.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a request.
pub enum Fate {
    Pass,
    /// The connection ends without an answer, before the server has got the request.
    Cut,
    /// The server does what it is asked to, and the answer is lost.
    Lose,
    /// Nothing comes back as long as the client waits.
    Hang,
    /// The server does it, and its answer has half of its body.
    Halve,
    /// The same, but the connection ends in the middle of the body.
    BreakOff,
    /// Somebody else answers.
    Answer(Cow<'static, str>),
}

/// A request as it came.
pub struct Request {
    pub head: String,
    /// Empty if its length was not told; it is passed on all the same.
    pub body: Vec<u8>,
}

impl Request {
    /// Method, path with query, version.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

pub struct Proxy {
    pub port: u16,
}

impl Proxy {
    /// `decide` is given the first line of each request. It lives as long as the test's process.
    pub fn before(port: u16, decide: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        Self::judging(port, move |request| decide(request.line()))
    }

    /// The same with the whole request.
    pub fn judging(port: u16, decide: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> Self {
        Self::listen(port, Duration::ZERO, decide)
    }

    /// Every request arrives so much later.
    pub fn delaying(port: u16, delay: Duration) -> Self {
        Self::listen(port, delay, |_| Fate::Pass)
    }

    fn listen(port: u16, delay: Duration, decide: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let decide = Arc::new(decide);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let decide = decide.clone();
                std::thread::spawn(move || drop(serve(client, port, delay, &*decide)));
            }
        });
        Self { port: own }
    }
}

fn serve(
    mut client: TcpStream,
    port: u16,
    delay: Duration,
    decide: &dyn Fn(&Request) -> Fate,
) -> std::io::Result<()> {
    let request = read(&mut client)?;
    std::thread::sleep(delay);
    match decide(&request) {
        Fate::Pass => pass(&request, client, port),
        Fate::Cut => client.shutdown(Shutdown::Both),
        Fate::Lose => {
            answered(&request, port)?;
            client.shutdown(Shutdown::Both)
        }
        Fate::Hang => std::io::copy(&mut client, &mut std::io::sink()).map(drop),
        Fate::Halve => {
            let (head, body) = halved(&answered(&request, port)?);
            let told = head.lines().filter(|line| !line.to_lowercase().starts_with("content-length:"));
            let head: String = told.map(|line| format!("{line}\r\n")).collect();
            client.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes())?;
            client.write_all(&body)
        }
        Fate::BreakOff => {
            let (head, body) = halved(&answered(&request, port)?);
            client.write_all(format!("{head}\r\n\r\n").as_bytes())?;
            client.write_all(&body)?;
            client.shutdown(Shutdown::Both)
        }
        Fate::Answer(text) => {
            let length = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
            let more = format!("\r\nContent-Length: {length}\r\nConnection: close\r\n");
            client.write_all(text.replacen("\r\n", &more, 1).as_bytes())
        }
    }
}

fn pass(request: &Request, mut client: TcpStream, port: u16) -> std::io::Result<()> {
    let mut server = sent(request, port)?;
    let mut down = server.try_clone()?;
    let mut up = client.try_clone()?;
    let sending = std::thread::spawn(move || std::io::copy(&mut up, &mut server));
    std::io::copy(&mut down, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    drop(sending.join());
    Ok(())
}

fn sent(request: &Request, port: u16) -> std::io::Result<TcpStream> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    // One request per connection, so that each is decided on.
    let head = request.head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes())?;
    server.write_all(&request.body)?;
    Ok(server)
}

fn answered(request: &Request, port: u16) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    sent(request, port)?.read_to_end(&mut answer)?;
    Ok(answer)
}

/// The head of an answer and the first half of its body.
fn halved(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let body = answer.get(end + 4..).unwrap_or_default();
    (String::from_utf8_lossy(&answer[..end]).into_owned(), body[..body.len() / 2].to_vec())
}

/// Everything up to the empty line, and the body if the head tells how long it is.
fn read(client: &mut TcpStream) -> std::io::Result<Request> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let end = loop {
        let count = client.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(end);
    let request = Request { head: String::from_utf8_lossy(&bytes).into_owned(), body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0usize);
    let missing = length.saturating_sub(body.len());
    client.take(missing as u64).read_to_end(&mut body)?;
    Ok(Request { body, ..request })
}
