//! The first message of a TLS client, read without answering it: `ssl_preread`.
//!
//! Knows bytes, no sockets: what has come so far goes in, what it says comes out. Lengths are the
//! sender's word and are checked at each step (RFC 8446 section 4.1.2). What is no ClientHello is
//! [`NotTls`], which is no fault: the session goes on without the variables.

/// What the bytes so far come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More are needed.
    More,
    /// All is there.
    Done(ClientHello),
}

/// The bytes are none of TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotTls;

/// What a client says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// The name it asks for, lower case; empty if none.
    pub(crate) server_name: String,
    /// The protocols it speaks, with commas.
    pub(crate) alpn_protocols: Vec<u8>,
    /// The newest version it speaks, in nginx's words.
    pub(crate) protocol: &'static str,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// RFC 8446 section 5.1, and what older versions may add.
const RECORD_BYTES_MAX: usize = (1 << 14) + 2048;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Looks at the first bytes of a connection.
pub(crate) fn parse(bytes: &[u8]) -> Result<Step, NotTls> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [] => return Ok(Step::More),
            [kind, ..] if *kind != HANDSHAKE => return of_ssl2(rest),
            [_, major, ..] if *major != 3 => return Err(NotTls),
            [_, _, _, high, low, tail @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if length == 0 || length > RECORD_BYTES_MAX {
                    return Err(NotTls);
                }
                message.extend_from_slice(tail.get(..length).unwrap_or(tail));
                if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
                    return Err(NotTls);
                }
                let mut reader = Reader(&message);
                let body = reader.number(1).and_then(|_| {
                    let length = reader.number(3)?;
                    reader.take(length)
                });
                if let Some(body) = body {
                    return hello(body).map(Step::Done).ok_or(NotTls);
                }
                let Some(next) = tail.get(length..) else {
                    return Ok(Step::More);
                };
                rest = next;
            }
            _ => return Ok(Step::More),
        }
    }
}

/// The message's body; `None` if it contradicts itself.
fn hello(body: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader(body);
    let legacy = reader.number(2)?;
    reader.take(32)?;
    reader.vector(1)?;
    reader.vector(2)?;
    reader.vector(1)?;
    let mut hello = ClientHello {
        protocol: version(legacy),
        ..ClientHello::default()
    };
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.vector(2)?);
    while !extensions.0.is_empty() {
        let kind = u16::try_from(extensions.number(2)?).ok()?;
        let mut data = Reader(extensions.vector_or_rest(2)?);
        match kind {
            SERVER_NAME => {
                let mut names = Reader(data.vector(2)?);
                while !names.0.is_empty() {
                    let kind = names.number(1)?;
                    let name = std::str::from_utf8(names.vector(2)?).ok()?;
                    if kind == 0 {
                        hello.server_name = name.to_ascii_lowercase();
                    }
                }
            }
            ALPN => {
                let mut names = Reader(data.vector(2)?);
                let mut all = Vec::new();
                while !names.0.is_empty() {
                    all.push(names.vector(1)?);
                }
                hello.alpn_protocols = all.join(&b',');
            }
            SUPPORTED_VERSIONS => {
                let mut versions = Reader(data.vector(1)?);
                let mut newest = 0;
                while !versions.0.is_empty() {
                    // Numbers that mean nothing are there to keep us from breaking on them.
                    // 7f.. are drafts of 1.3.
                    let number = match versions.number(2)? {
                        0x7f00..=0x7fff => 0x0304,
                        number => number,
                    };
                    if !version(number).is_empty() {
                        newest = newest.max(number);
                    }
                }
                hello.protocol = version(newest);
            }
            _ => {}
        }
    }
    Some(hello)
}

/// What old clients begin with, who speak SSL 2 too: its ClientHello says the newest version.
fn of_ssl2(bytes: &[u8]) -> Result<Step, NotTls> {
    match bytes {
        [length, _, CLIENT_HELLO, major, minor, ..] if length & 0x80 != 0 => {
            let protocol = version((usize::from(*major) << 8) | usize::from(*minor));
            Ok(Step::Done(ClientHello {
                protocol,
                ..ClientHello::default()
            }))
        }
        [length, ..] if length & 0x80 == 0 => Err(NotTls),
        [_, _, kind, ..] if *kind != CLIENT_HELLO => Err(NotTls),
        _ => Ok(Step::More),
    }
}

fn version(number: usize) -> &'static str {
    match number {
        0x0002 => "SSLv2",
        0x0300 => "SSLv3",
        0x0301 => "TLSv1",
        0x0302 => "TLSv1.1",
        0x0303 => "TLSv1.2",
        0x0304 => "TLSv1.3",
        _ => "",
    }
}

/// Bytes not yet read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of up to three bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let fold = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
        Some(self.take(bytes)?.iter().fold(0, fold))
    }

    /// Bytes after their length, which is a number of so many bytes.
    fn vector(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }

    /// The same, or all there is if the length says more, as nginx takes it.
    fn vector_or_rest(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?.min(self.0.len());
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::pki_types::ServerName;

    use super::*;

    /// What a real client sends first.
    fn real(versions: &[&'static rustls::SupportedProtocolVersion]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"first".to_vec(), b"second".to_vec()];
        let name = ServerName::try_from("Some.Name").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut out = Vec::new();
        client.write_tls(&mut out).unwrap();
        out
    }

    fn wanted(protocol: &'static str) -> Step {
        Step::Done(ClientHello {
            server_name: "some.name".to_owned(),
            alpn_protocols: b"first,second".to_vec(),
            protocol,
        })
    }

    #[test]
    fn a_real_client_is_understood_byte_by_byte_and_in_small_records() {
        let bytes = real(&[&rustls::version::TLS13, &rustls::version::TLS12]);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(Step::More), "{cut}");
        }
        assert_eq!(parse(&bytes), Ok(wanted("TLSv1.3")));
        let mut small = Vec::new();
        for part in bytes[5..].chunks(7) {
            small.extend([HANDSHAKE, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
            small.extend(part);
        }
        assert_eq!(parse(&small), Ok(wanted("TLSv1.3")));
        let old = real(&[&rustls::version::TLS12]);
        assert_eq!(parse(&old), Ok(wanted("TLSv1.2")));
    }

    #[test]
    fn other_protocols_are_not_taken_for_it() {
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            b"\x16\x02",
            b"\x16\x03\x01\x00\x00",
            b"\x03",
            b"\x80\x2e\x02",
        ] {
            assert_eq!(parse(bytes), Err(NotTls), "{bytes:?}");
        }
        assert_eq!(parse(b"\x16\x03\x01\x00\x05\x02"), Err(NotTls));
    }

    #[test]
    fn clients_of_old_are_understood() {
        let bytes = [0x80, 0x1c, 1, 3, 1, 0, 3];
        assert_eq!(parse(&bytes[..4]), Ok(Step::More));
        let Ok(Step::Done(hello)) = parse(&bytes) else {
            panic!("{:?}", parse(&bytes));
        };
        assert_eq!((hello.protocol, hello.server_name.as_str()), ("TLSv1", ""));
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_in_an_answer(
            at in 0_usize..400,
            byte in any::<u8>(),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = real(&[&rustls::version::TLS12]);
            let place = at % bytes.len();
            bytes[place] = byte;
            let _ = parse(&bytes);
            let _ = parse(&noise);
            let framed = [&[HANDSHAKE, 3, 1, 1, 0, CLIENT_HELLO, 0, 0, 200], &noise[..]].concat();
            let _ = parse(&framed);
        }
    }
}
