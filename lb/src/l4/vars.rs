//! Values with variables, worked out for one session.
//!
//! What a variable of the file came to is kept by the session, and so holds for its next values
//! too; what a group took in holds for the one value. Units: bytes. Limits: [`DEPTH_MAX`], so that variables made of one another end. A variable
//! without a value is empty, as in nginx.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use weir_conf::nginx::model::variable::{Define, Variable};
use weir_conf::nginx::regex::{Captures, Regex};
use weir_conf::nginx::template::{Part, Template, Var};

use super::session::Session;

/// How deep a variable may be made of others.
const DEPTH_MAX: u8 = 100;

/// What variables are looked up in.
pub(super) struct Values<'a> {
    session: &'a Session,
    variables: &'a [Variable],
    /// What was found so far, by the variable's place.
    slots: RefCell<Vec<Option<Vec<u8>>>>,
    /// Of the last expression that matched.
    captures: RefCell<Option<Captures>>,
    depth: Cell<u8>,
}

impl<'a> Values<'a> {
    /// `slots` is what [`Self::into_slots`] gave before, or nothing.
    pub(super) fn new(
        session: &'a Session,
        variables: &'a [Variable],
        mut slots: Vec<Option<Vec<u8>>>,
    ) -> Self {
        slots.resize(variables.len(), None);
        Self {
            session,
            variables,
            slots: RefCell::new(slots),
            captures: RefCell::new(None),
            depth: Cell::new(0),
        }
    }

    /// What was worked out, to be kept.
    pub(super) fn into_slots(self) -> Vec<Option<Vec<u8>>> {
        self.slots.into_inner()
    }

    pub(super) fn value(&self, template: &Template) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Var(Var::User(place)) => out.extend(self.user(*place)),
                Part::Var(Var::Capture(n)) => {
                    if let Some(captures) = &*self.captures.borrow() {
                        out.extend_from_slice(captures.get(usize::from(*n)).unwrap_or_default());
                    }
                }
                Part::Var(var) => self.session.variable(var, &mut out),
            }
        }
        out
    }

    fn user(&self, place: usize) -> Vec<u8> {
        if let Some(Some(value)) = self.slots.borrow().get(place) {
            return value.clone();
        }
        let variable = self.variables.get(place);
        let Some(define) = variable.and_then(|variable| variable.define.as_ref()) else {
            return Vec::new();
        };
        if self.depth.get() >= DEPTH_MAX {
            tracing::error!("cycle while evaluating a variable");
            return Vec::new();
        }
        self.depth.set(self.depth.get() + 1);
        let value = self.work_out(define);
        self.depth.set(self.depth.get().saturating_sub(1));
        if !define.is_volatile() {
            self.keep(place, &value);
        }
        value
    }

    fn work_out(&self, define: &Define) -> Vec<u8> {
        match define {
            Define::Map(map) => {
                let key = self.value(&map.source);
                let (value, regex) = map.find(&key);
                if let Some(regex) = regex {
                    self.take(regex, &key);
                }
                self.value(value)
            }
            Define::Geo(geo) => {
                // nginx's address for a client that has none.
                let nobody = IpAddr::from([255, 255, 255, 255]);
                let addr = match &geo.source {
                    Some(source) => {
                        let text = self.value(source);
                        let text = std::str::from_utf8(&text).unwrap_or_default();
                        text.parse().unwrap_or(nobody)
                    }
                    None => self.session.client.map_or(nobody, |addr| addr.ip()),
                };
                geo.find(addr).as_bytes().to_vec()
            }
            Define::Split(split) => split.find(&self.value(&split.source)).as_bytes().to_vec(),
        }
    }

    /// Keeps what an expression's groups take in; the named ones are variables.
    pub(super) fn take(&self, regex: &Regex, subject: &[u8]) {
        let Some(captures) = regex.captures(subject) else {
            return;
        };
        for (group, name) in regex.names() {
            let name = name.to_ascii_lowercase();
            let mut all = self.variables.iter();
            if let Some(place) = all.position(|variable| variable.name == name) {
                self.keep(place, captures.get(*group).unwrap_or_default());
            }
        }
        *self.captures.borrow_mut() = Some(captures);
    }

    fn keep(&self, place: usize, value: &[u8]) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(place) {
            *slot = Some(value.to_vec());
        }
    }
}
