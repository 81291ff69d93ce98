//! Variables that the file makes: `map`, `geo`, `split_clients`, and what was set.

use std::net::IpAddr;

use weir_conf::nginx::model::variable::{Define, Geo};

use super::{DEPTH_MAX, Values};

impl Values<'_> {
    /// A variable of the file's: what was set, else what it works out to, kept for the request.
    pub(super) fn user(&self, place: usize, out: &mut Vec<u8>) {
        if let Some(value) = self.ctx.flow.slot(place) {
            out.extend_from_slice(&value);
            return;
        }
        let variable = self.site.variables.get(place);
        let Some(define) = variable.and_then(|variable| variable.define.as_ref()) else {
            return;
        };
        if self.depth.get() >= DEPTH_MAX {
            tracing::error!("cycle while evaluating a variable");
            return;
        }
        self.depth.set(self.depth.get() + 1);
        let value = self.work_out(define);
        self.depth.set(self.depth.get().saturating_sub(1));
        if !define.is_volatile() {
            self.ctx.flow.set_slot(place, &value);
        }
        out.extend_from_slice(&value);
    }

    fn work_out(&self, define: &Define) -> Vec<u8> {
        match define {
            Define::Map(map) => {
                let key = self.value(&map.source);
                let (value, regex) = map.find(&key);
                if let Some(regex) = regex {
                    self.gateway.matches(regex, &key, self.ctx);
                }
                self.value(value).into_owned()
            }
            Define::Geo(geo) => geo.find(self.geo_addr(geo)).as_bytes().to_vec(),
            Define::Split(split) => {
                let key = self.value(&split.source);
                split.find(&key).as_bytes().to_vec()
            }
        }
    }

    /// The address a `geo` is about: the client's, or the one that a known proxy names.
    fn geo_addr(&self, geo: &Geo) -> IpAddr {
        // nginx's address for a client that has none.
        let nobody = IpAddr::from([255, 255, 255, 255]);
        let client = self.ctx.remote();
        let mut addr = client.map_or(nobody, |addr| addr.ip());
        if let Some(source) = &geo.source {
            let text = self.value(source);
            let text = std::str::from_utf8(&text).unwrap_or_default();
            addr = text.parse().unwrap_or(nobody);
        }
        let known = |addr: IpAddr| {
            let addr = addr.to_canonical();
            geo.proxies.iter().any(|net| net.contains(&addr))
        };
        if !known(addr) {
            return addr;
        }
        let mut list = Vec::new();
        self.header("x-forwarded-for", &mut list);
        let list = String::from_utf8_lossy(&list).into_owned();
        for item in list.rsplit([',', ' ']).filter(|item| !item.is_empty()) {
            let Ok(named) = item.parse::<IpAddr>() else {
                return addr;
            };
            addr = named;
            if !geo.recursive || !known(addr) {
                return addr;
            }
        }
        addr
    }
}
