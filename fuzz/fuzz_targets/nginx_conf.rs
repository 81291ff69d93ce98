//! Any bytes as an nginx.conf, and as what stands in its blocks: a configuration or an error with
//! a line, never a panic, never an include from the disk or a name from the network.

#![no_main]

use std::net::IpAddr;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use weir_conf::nginx::{LoadOptions, Resolve, load_bytes};

/// Every name is this machine's.
struct Here;

impl Resolve for Here {
    fn resolve(&self, _: &str) -> Vec<IpAddr> {
        vec![IpAddr::from([127, 0, 0, 1])]
    }
}

fuzz_target!(|bytes: &[u8]| {
    // What is on the disk says nothing of the parser.
    if bytes.windows(7).any(|word| word.eq_ignore_ascii_case(b"include")) {
        return;
    }
    for (head, tail) in [
        ("", ""),
        ("events {} http { server { ", "\n}}"),
        ("events {} http { ", "\n}"),
        ("events {} http { upstream u { ", "\n}}"),
        ("events {} stream { ", "\n}"),
    ] {
        let text = [head.as_bytes(), bytes, tail.as_bytes()].concat();
        for as_nginx in [false, true] {
            let options = LoadOptions {
                as_nginx,
                ..LoadOptions::default()
            };
            let place = ("f", Path::new("/nonexistent"));
            if let Err(error) = load_bytes(&text, place, &options, &Here) {
                assert!(error.to_string().starts_with("[emerg] "), "{error}");
            }
        }
    }
});
