//! `location`, and what it does: `proxy_pass`, `stub_status`, or files.

use super::super::addr;
use super::super::error::{Error, Kind};
use super::super::model::{Action, Common, HealthCheck, Location, Match, Upstream};
use super::super::parse::Directive;
use super::http::Refs;
use super::scope::{Inherited, Scope};
use super::{Lowering, Once, checks, pass, script, tls};

/// Where a location stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// What holds around it.
    pub(super) inherited: &'a Inherited,
    /// Its TLS.
    pub(super) tls: &'a tls::Scope,
    /// The location it stands in.
    pub(super) parent: Option<&'a Parent<'a>>,
}

/// What holds around a `proxy_pass`.
pub(super) type Outer<'a> = (&'a Inherited, &'a tls::Scope);

/// The location that another, or an `if`, stands in.
pub(super) struct Parent<'a> {
    matching: &'a Match,
    path: &'a str,
    block: &'a Directive,
}

/// Puts a location into `all`, after those it holds. Returns its place.
pub(super) fn location(
    block: &Directive,
    place: Place<'_>,
    all: &mut Vec<Location>,
    refs: &mut Refs,
    lowering: &mut Lowering<'_>,
) -> Result<usize, Error> {
    let tls = tls::Scope::read(block, place.tls, lowering)?;
    let (matching, path) = matcher(block)?;
    if let Some(parent) = place.parent {
        check_nested(block, &matching, &path, parent)?;
    }
    let mut scope = Scope::read(block, refs, lowering)?;
    scope.pages.alias_at(&matching, &path);
    let inherited = place.inherited.with(scope);
    let outer = (&inherited, &tls);
    let action = action(block, None, &path, outer, refs, lowering)?;
    health(block, &action, refs)?;
    let parent = Parent {
        matching: &matching,
        path: &path,
        block,
    };
    let mut children = Vec::new();
    for child in block.children().iter().filter(|it| it.name == "location") {
        let place = Place {
            inherited: &inherited,
            tls: &tls,
            parent: Some(&parent),
        };
        let index = location(child, place, all, refs, lowering)?;
        check_twice(child, index, &children, all)?;
        children.push(index);
    }
    let script = script::ops(block, refs, &mut |inner, refs| {
        inside(inner, &parent, outer, all, refs, lowering)
    })?;
    let internal = block.children().iter().any(|it| it.name == "internal");
    let common = inherited.common(refs);
    check_alias(block, &matching, &common)?;
    all.push(Location {
        internal: internal || matching == Match::Named,
        matching,
        path,
        action,
        script,
        children,
        common,
        pos: block.pos.clone(),
    });
    Ok(all.len() - 1)
}

/// What an `if` of a location makes: a location of its own, which passes on what its own does.
fn inside(
    block: &Directive,
    parent: &Parent<'_>,
    (outer, tls): Outer<'_>,
    all: &mut Vec<Location>,
    refs: &mut Refs,
    lowering: &mut Lowering<'_>,
) -> Result<script::Inside, Error> {
    let inherited = outer.with(Scope::read(block, refs, lowering)?);
    let action = action(
        block,
        Some(parent.block),
        parent.path,
        (&inherited, tls),
        refs,
        lowering,
    )?;
    let nested = &mut |inner: &Directive, _: &mut Refs| {
        Err(inner.fault(Kind::NotAllowed, "\"if\" directive is not allowed here"))
    };
    let body = script::ops(block, refs, nested)?;
    all.push(Location {
        matching: Match::If,
        path: parent.path.to_owned(),
        action,
        script: Vec::new(),
        children: Vec::new(),
        internal: false,
        common: inherited.common(refs),
        pos: block.pos.clone(),
    });
    Ok((body, Some(all.len() - 1)))
}

/// What the block does, or what the block around it does if it says nothing itself.
fn action(
    block: &Directive,
    around: Option<&Directive>,
    path: &str,
    outer: Outer<'_>,
    refs: &mut Refs,
    lowering: &mut Lowering<'_>,
) -> Result<Action, Error> {
    let mut found = None;
    let mut once = Once::default();
    for child in block.children() {
        match child.name.as_str() {
            "proxy_pass" => {
                once.first(child)?;
                let proxy = pass::proxy(child, path, outer, refs, lowering)?;
                found = Some(Action::Proxy(Box::new(proxy)));
            }
            // The last that stands holds, as in nginx.
            "stub_status" => found = Some(Action::StubStatus),
            _ => {}
        }
    }
    match (found, around) {
        (Some(action), _) => Ok(action),
        (None, Some(around)) => action(around, None, path, outer, refs, lowering),
        (None, None) => Ok(Action::Files),
    }
}

fn health(block: &Directive, action: &Action, refs: &mut Refs) -> Result<(), Error> {
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "health_check")
    {
        let Action::Proxy(proxy) = action else {
            let message = "\"health_check\" needs a \"proxy_pass\" beside it";
            return Err(child.fault(Kind::Value, message));
        };
        let check = checks::health_check(child, true, &refs.matches)?;
        let upstream = proxy
            .upstream
            .and_then(|place| refs.upstreams.get_mut(place));
        attach_check(child, upstream, check)?;
    }
    Ok(())
}

/// nginx's rules on what may stand in a location.
fn check_nested(
    block: &Directive,
    matching: &Match,
    path: &str,
    parent: &Parent<'_>,
) -> Result<(), Error> {
    let outer = parent.path;
    let fault = |message: String| Err(block.fault(Kind::Value, message));
    match (parent.matching, matching) {
        (Match::Exact, _) => fault(format!(
            "location \"{path}\" cannot be inside the exact location \"{outer}\""
        )),
        (Match::Named, _) => fault(format!(
            "location \"{path}\" cannot be inside the named location \"{outer}\""
        )),
        (_, Match::Named) => fault(format!(
            "named location \"{path}\" can be on the server level only"
        )),
        (Match::Prefix | Match::PrefixFinal, Match::Exact | Match::Prefix | Match::PrefixFinal)
            if !path.starts_with(outer) =>
        {
            fault(format!(
                "location \"{path}\" is outside location \"{outer}\""
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses a second location for one path among its neighbours.
pub(super) fn check_twice(
    block: &Directive,
    index: usize,
    neighbours: &[usize],
    all: &[Location],
) -> Result<(), Error> {
    let Some(location) = all.get(index) else {
        return Ok(());
    };
    let kind = |matching: &Match| match matching {
        Match::Exact => 0,
        Match::Prefix | Match::PrefixFinal => 1,
        Match::Named => 2,
        Match::Regex(_) | Match::If => 3,
    };
    let own = kind(&location.matching);
    let mut neighbours = neighbours.iter().filter_map(|other| all.get(*other));
    if own < 3 && neighbours.any(|it| kind(&it.matching) == own && it.path == location.path) {
        let message = format!("duplicate location \"{}\"", location.path);
        return Err(block.fault(Kind::Value, message));
    }
    Ok(())
}

fn check_alias(block: &Directive, matching: &Match, common: &Common) -> Result<(), Error> {
    if *matching == Match::Named && common.web.root.alias.is_some() {
        let message = "the \"alias\" directive cannot be used inside the named location";
        return Err(block.fault(Kind::Value, message));
    }
    Ok(())
}

/// Gives an upstream its active check; it can have one.
pub(super) fn attach_check(
    directive: &Directive,
    upstream: Option<&mut Upstream>,
    check: HealthCheck,
) -> Result<(), Error> {
    let Some(upstream) = upstream else {
        return Ok(());
    };
    if upstream
        .health_check
        .as_ref()
        .is_some_and(|other| *other != check)
    {
        let message = format!(
            "upstream \"{}\" has another \"health_check\": several are not supported by weir yet",
            upstream.name
        );
        return Err(directive.fault(Kind::Unsupported, message));
    }
    upstream.health_check = Some(check);
    Ok(())
}

fn matcher(block: &Directive) -> Result<(Match, String), Error> {
    let regex = |pattern: &str, insensitive: bool| {
        let regex = script::regex(block, pattern, insensitive)?;
        Ok((Match::Regex(regex), pattern.to_owned()))
    };
    match (block.arg(0).unwrap_or_default(), block.arg(1)) {
        ("=", Some(path)) => Ok((Match::Exact, path.to_owned())),
        ("^~", Some(path)) => Ok((Match::PrefixFinal, path.to_owned())),
        ("~", Some(pattern)) => regex(pattern, false),
        ("~*", Some(pattern)) => regex(pattern, true),
        (modifier, Some(_)) => {
            let message = format!("invalid location modifier \"{modifier}\"");
            Err(block.fault(Kind::Value, message))
        }
        // nginx takes the modifier and the path also in one word.
        (text, None) => {
            if let Some(path) = text.strip_prefix('=') {
                Ok((Match::Exact, path.to_owned()))
            } else if let Some(path) = text.strip_prefix("^~") {
                Ok((Match::PrefixFinal, path.to_owned()))
            } else if let Some(pattern) = text.strip_prefix("~*") {
                regex(pattern, true)
            } else if let Some(pattern) = text.strip_prefix('~') {
                regex(pattern, false)
            } else if text.starts_with('@') {
                Ok((Match::Named, text.to_owned()))
            } else {
                Ok((Match::Prefix, text.to_owned()))
            }
        }
    }
}

/// The address a `proxy_pass` or `server` names, in nginx's words if it does not do.
pub(super) fn addr_fault(
    directive: &Directive,
    fault: addr::AddrFault,
    text: &str,
    what: &str,
) -> Error {
    let kind = match fault {
        addr::AddrFault::NotFound => Kind::Host,
        _ => Kind::Value,
    };
    directive.fault(kind, format!("{} in {what} \"{text}\"", fault.text()))
}
