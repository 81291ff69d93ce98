//! A proxy between viewers and `weir` that spoils chosen answers.

use super::{Answer, request};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes through.
    Pass,
    /// 404 instead.
    Missing,
    /// Its head, half of its body, and the end of the connection.
    Half,
    /// As many bytes, one of them another.
    Flipped,
}

/// Decides by a request's path, and by the answer `weir` gave.
pub type Decide = dyn Fn(&str, &mut Answer) -> Fate + Send + Sync;

/// A proxy to `upstream` (`host:port`); gives its own address. Its threads end with the test.
pub fn start(upstream: &str, decide: Arc<Decide>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let upstream = upstream.to_owned();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let (upstream, decide) = (upstream.clone(), Arc::clone(&decide));
            std::thread::spawn(move || while carry(&socket, &upstream, &*decide).is_some() {});
        }
    });
    address
}

/// One request of a connection; `None` at its end.
fn carry(mut socket: &TcpStream, upstream: &str, decide: &Decide) -> Option<()> {
    // Requests come one after another and have no body: nothing is read ahead that matters.
    let mut lines = BufReader::new(socket).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    while !lines.next()?.ok()?.is_empty() {}
    let mut answer = request("GET", &format!("http://{upstream}{path}")).ok()?;
    let fate = decide(&path, &mut answer);
    if fate == Fate::Missing {
        answer.status = 404;
        answer.body.clear();
    }
    let length = answer.body.len();
    if fate == Fate::Flipped {
        answer.body[length - 1] ^= 1;
    }
    let head = format!(
        "HTTP/1.1 {} x\r\nContent-Length: {length}\r\n\r\n",
        answer.status
    );
    socket.write_all(head.as_bytes()).ok()?;
    let sent = if fate == Fate::Half {
        length / 2
    } else {
        length
    };
    socket.write_all(&answer.body[..sent]).ok()?;
    if fate == Fate::Half {
        let _ = socket.shutdown(std::net::Shutdown::Both);
        return None;
    }
    Some(())
}
