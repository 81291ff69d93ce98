//! Values of [`Guard`] that `http`, `server` and `location` may each set. Inheritance as in
//! [`super::scope`].

use std::sync::Arc;

use ipnet::IpNet;

use super::super::error::{Error, Kind};
use super::super::model::guard::{Guard, RealIp, ToldBy};
use super::super::model::stream::Who;
use super::super::parse::Directive;
use super::{Lowering, Once, flag};

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct GuardScope {
    believed: Option<Vec<Who>>,
    told_by: Option<ToldBy>,
    recursive: Option<bool>,
}

impl GuardScope {
    /// Reads one directive. Says whether it was one of these.
    pub(super) fn read(
        &mut self,
        d: &Directive,
        lowering: &Lowering<'_>,
        once: &mut Once,
    ) -> Result<bool, Error> {
        match d.name.as_str() {
            "set_real_ip_from" => {
                self.believed
                    .get_or_insert_default()
                    .extend(who(d, lowering)?);
                return Ok(true);
            }
            "real_ip_header" => {
                let name = d.arg(0).unwrap_or_default();
                self.told_by = Some(match name {
                    "proxy_protocol" => ToldBy::ProxyProtocol,
                    name => ToldBy::Header(name.to_ascii_lowercase()),
                });
            }
            "real_ip_recursive" => self.recursive = Some(flag(d)),
            _ => return Ok(false),
        }
        once.first(d)?;
        Ok(true)
    }

    /// The values inside a block that sets these.
    pub(super) fn within(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            believed: self.believed.or(outer.believed),
            told_by: self.told_by.or(outer.told_by),
            recursive: self.recursive.or(outer.recursive),
        }
    }

    /// With nginx's defaults for what is not set.
    pub(super) fn resolve(&self) -> Guard {
        let real_ip = self.believed.clone().map(|from| {
            let usual = || ToldBy::Header("x-real-ip".to_owned());
            Arc::new(RealIp {
                from,
                told_by: self.told_by.clone().unwrap_or_else(usual),
                recursive: self.recursive.unwrap_or(false),
            })
        });
        Guard { real_ip }
    }
}

/// `unix:`, an address, a network, or every address of a name.
fn who(d: &Directive, lowering: &Lowering<'_>) -> Result<Vec<Who>, Error> {
    let text = d.arg(0).unwrap_or_default();
    if text == "unix:" {
        return Ok(vec![Who::Unix]);
    }
    if let Ok(net) = super::variable::network(d, text) {
        return Ok(vec![Who::Net(net)]);
    }
    let named = lowering.resolver.resolve(text);
    if named.is_empty() {
        let message = format!("host not found in set_real_ip_from \"{text}\"");
        return Err(d.fault(Kind::Host, message));
    }
    Ok(named
        .into_iter()
        .map(|it| Who::Net(IpNet::from(it)))
        .collect())
}
