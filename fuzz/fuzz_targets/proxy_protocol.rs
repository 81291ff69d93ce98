//! The first bytes of a connection as a header of the PROXY protocol: an end inside what was
//! given, and the same answer however the bytes are cut into reads.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../lb/src/proxy_protocol/parse.rs"]
#[allow(dead_code, unreachable_pub, reason = "the balancer's own, for the one function")]
mod parse;

use parse::{HEADER_BYTES_MAX, Step, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    if let Ok(Step::Done(_, count)) = whole {
        assert!(count <= bytes.len());
        // Read a byte at a time it ends at the same place, and not before.
        for cut in 0..count {
            assert_eq!(parse(&bytes[..cut]), Ok(Step::More), "{cut} of {count}");
        }
        assert_eq!(parse(&bytes[..count]), whole);
    }
    assert!(whole != Ok(Step::More) || bytes.len() < HEADER_BYTES_MAX);
});
