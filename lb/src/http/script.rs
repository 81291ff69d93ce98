//! The rewrite module's steps, run for one request.
//!
//! Escaping is nginx's: what a group took in is escaped where it becomes part of arguments or of
//! a redirect, if the client's path held an escape itself.

use pingora::proxy::Session;
use weir_conf::nginx::Regex;
use weir_conf::nginx::model::Return;
use weir_conf::nginx::model::web::{FileTest, Op, Rewrite, Target, Test, Then};
use weir_conf::nginx::template::{Part, Template, Var};

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::{Reply, Step};
use super::uri;

/// How a list of steps ended.
pub(super) enum End {
    /// With its last step.
    Through,
    /// With `break` or `last`.
    Stopped,
    /// With an answer or a fault.
    To(Phase),
}

impl Gateway {
    /// Runs steps in order.
    pub(super) fn script(&self, session: &Session, ctx: &mut Ctx, ops: &[Op]) -> End {
        for op in ops {
            let end = match op {
                Op::Set { target, value } => {
                    let value = self.values(session, ctx).value(value).into_owned();
                    set(ctx, *target, value);
                    End::Through
                }
                Op::Break => {
                    ctx.flow.changed = false;
                    End::Stopped
                }
                Op::Return(ret) => End::To(self.return_(ret, session, ctx)),
                Op::If {
                    test,
                    body,
                    location,
                } => {
                    if self.holds(test, session, ctx) {
                        ctx.location = location.or(ctx.location);
                        self.script(session, ctx, body)
                    } else {
                        End::Through
                    }
                }
                Op::Rewrite(rewrite) => self.rewrite_path(rewrite, session, ctx),
            };
            if !matches!(end, End::Through) {
                return end;
            }
        }
        End::Through
    }

    /// Whether an expression matches, its groups kept.
    pub(super) fn matches(&self, regex: &Regex, subject: &[u8], ctx: &Ctx) -> bool {
        ctx.flow
            .matched(regex, subject, |name| self.site.place(name))
    }

    fn holds(&self, test: &Test, session: &Session, ctx: &Ctx) -> bool {
        let value = |template| self.values(session, ctx).value(template).into_owned();
        match test {
            Test::True(left) => !matches!(value(left).as_slice(), b"" | b"0"),
            Test::Equal { left, right, not } => (value(left) == value(right)) != *not,
            Test::Matches { left, regex, not } => self.matches(regex, &value(left), ctx) != *not,
            Test::File { path, kind, not } => is_there(&value(path), *kind) != *not,
        }
    }

    /// `return`
    fn return_(&self, ret: &Return, session: &Session, ctx: &mut Ctx) -> Phase {
        let text = ret
            .text
            .as_ref()
            .map(|text| self.values(session, ctx).value(text).into_owned());
        match (ret.status, text) {
            (444, _) => Phase::Answer(Box::new(Step::Close)),
            (status @ (301 | 302 | 303 | 307 | 308), Some(text)) => {
                let location = self.absolute(session, ctx, text);
                self.send_away(ctx, status, location)
            }
            (status, Some(text)) => {
                let content_type = self.content_type(session, ctx);
                Phase::Answer(Box::new(Step::Reply(Reply::text(
                    status,
                    content_type,
                    text.into(),
                ))))
            }
            (status, None) if status >= 300 => Phase::Fail(status),
            (status, None) => {
                let content_type = self.content_type(session, ctx);
                let empty = bytes::Bytes::new();
                Phase::Answer(Box::new(Step::Reply(Reply::text(
                    status,
                    content_type,
                    empty,
                ))))
            }
        }
    }

    fn rewrite_path(&self, rewrite: &Rewrite, session: &Session, ctx: &mut Ctx) -> End {
        let path = self.values(session, ctx).path().into_owned();
        if !self.matches(&rewrite.regex, &path, ctx) {
            return End::Through;
        }
        let redirect = matches!(rewrite.then, Then::Redirect(_));
        let quoted = session.req_header().raw_path();
        let quoted = quoted.iter().any(|byte| matches!(byte, b'%' | b'+'));
        let mut to = Vec::new();
        self.expand(&rewrite.path, redirect && quoted, session, ctx, &mut to);
        let mut args = Vec::new();
        if let Some(template) = &rewrite.args {
            self.expand(template, quoted, session, ctx, &mut args);
        }
        let old = self.values(session, ctx).args().into_owned();
        if rewrite.keep_args && !old.is_empty() {
            if rewrite.args.is_some() {
                args.push(b'&');
            }
            args.extend_from_slice(&old);
        }
        if let Then::Redirect(status) = rewrite.then {
            if !args.is_empty() || rewrite.args.is_some() {
                to.push(b'?');
                to.extend_from_slice(&args);
            }
            let location = self.absolute(session, ctx, to);
            return End::To(self.send_away(ctx, status, location));
        }
        if to.is_empty() {
            tracing::error!("the rewritten URI has a zero length");
            return End::To(Phase::Fail(500));
        }
        let flow = &mut ctx.flow;
        flow.path = Some(to);
        flow.args = Some(args);
        flow.rewritten = true;
        flow.internal = true;
        flow.changed = rewrite.then != Then::Break;
        match rewrite.then {
            Then::Last | Then::Break => End::Stopped,
            Then::Next | Then::Redirect(_) => End::Through,
        }
    }

    /// A value in which groups are escaped, if they shall be.
    fn expand(
        &self,
        template: &Template,
        escape: bool,
        session: &Session,
        ctx: &Ctx,
        out: &mut Vec<u8>,
    ) {
        if !escape {
            out.extend_from_slice(&self.values(session, ctx).value(template));
            return;
        }
        for part in &template.parts {
            let one = Template {
                parts: vec![part.clone()],
            };
            let value = self.values(session, ctx).value(&one).into_owned();
            if matches!(part, Part::Var(Var::Capture(_))) {
                uri::escape_args(&value, out);
            } else {
                out.extend_from_slice(&value);
            }
        }
    }
}

/// Sets a variable.
pub(super) fn set(ctx: &mut Ctx, target: Target, value: Vec<u8>) {
    match target {
        Target::User(place) => ctx.flow.set_slot(place, &value),
        Target::Args => {
            ctx.flow.args = Some(value);
            ctx.flow.rewritten = true;
        }
        Target::LimitRate => {
            let text = String::from_utf8_lossy(&value).into_owned();
            ctx.flow.limit_rate = Some(weir_conf::nginx::size_bytes(&text).unwrap_or(0));
        }
    }
}

/// Asks the file system. A short call on a local path, made where it is needed, as nginx does.
fn is_there(path: &[u8], kind: FileTest) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(meta) = std::fs::metadata(std::ffi::OsStr::from_bytes(path)) else {
        return false;
    };
    match kind {
        FileTest::File => meta.is_file(),
        FileTest::Directory => meta.is_dir(),
        FileTest::Exists => true,
        FileTest::Executable => meta.permissions().mode() & 0o100 != 0,
    }
}
