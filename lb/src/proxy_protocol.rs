//! The PROXY protocol as it comes in, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): who the
//! client is, told by the balancer before us.
//!
//! The parser is the `proxy-header` crate's, which knows nothing of sockets; `parse` bounds what
//! it is given. Limits: [`HEADER_BYTES_MAX`]; the time is the caller's. Failures end the
//! connection.

mod parse;

pub(crate) use parse::Told;
use parse::{HEADER_BYTES_MAX, Step, parse};

use crate::io::Io;

/// Reads a connection's header; what follows it is left to be read.
pub(crate) async fn read(io: &mut Io) -> std::io::Result<Option<Told>> {
    let mut bytes = Vec::new();
    loop {
        let count = io.read_more(&mut bytes, HEADER_BYTES_MAX).await?;
        match parse(&bytes).map_err(std::io::Error::other)? {
            Step::Done(told, count) => {
                io.unread(bytes.split_off(count));
                return Ok(told);
            }
            Step::More if count == 0 => {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Step::More => {}
        }
    }
}
