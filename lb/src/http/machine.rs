//! A request's phases, nginx's: rewrite at the server, find a location, rewrite there, once more
//! if the path changed, then who may come in, `try_files`, and what the location does.
//!
//! Error pages and index files send a request back to the start from inside; each change of
//! place is counted, and the eleventh is a 500. Pure but for questions to the file system.

use pingora::proxy::Session;
use weir_conf::nginx::model::web::{ErrorPage, Web};

use super::proxy::{Ctx, Gateway};
use super::reply::{Reply, Step};
use super::request::{announced, limit};
use super::route::Found;
use super::script::End;
use super::site::Do;
use super::uri;

/// Where to go on.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The server's own rewriting.
    Server,
    /// Look for a location.
    Find,
    /// The location's rewriting.
    Rewrite,
    /// Whether the path changed.
    After,
    /// How much may be asked.
    Preaccess,
    /// Who may come in.
    Access,
    /// `try_files`
    Try,
    /// What the location does.
    Content,
    /// An error of this status: its page, if one is named.
    Fail(u16),
    /// The end.
    Answer(Box<Step>),
}

impl Gateway {
    /// Goes through the phases to the end, and waits where it must.
    pub(crate) async fn go(&self, session: &mut Session, ctx: &mut Ctx, from: Phase) -> Step {
        let step = self.run(session, ctx, from);
        self.go_on(session, ctx, step).await
    }

    /// Goes on from where a request waits.
    pub(crate) async fn go_on(&self, session: &mut Session, ctx: &mut Ctx, from: Step) -> Step {
        let mut step = from;
        loop {
            step = match step {
                Step::Wait(time, phase) => {
                    tokio::time::sleep(time).await;
                    self.run(session, ctx, *phase)
                }
                Step::Ask(refused) => {
                    let phase = self.ask(session, ctx, refused).await;
                    self.run(session, ctx, phase)
                }
                end => return end,
            };
        }
    }

    /// Goes through the phases to the end, or to where it must wait.
    pub(crate) fn run(&self, session: &Session, ctx: &mut Ctx, from: Phase) -> Step {
        let mut phase = from;
        loop {
            phase = match phase {
                Phase::Server => self.at_server(session, ctx),
                Phase::Find => self.find(session, ctx),
                Phase::Rewrite => self.at_location(session, ctx),
                Phase::After => after(ctx),
                Phase::Preaccess => self.preaccess(session, ctx),
                Phase::Access => self.access(session, ctx),
                Phase::Try => self.try_files(session, ctx),
                Phase::Content => self.content(session, ctx),
                Phase::Fail(status) => self.fail(session, ctx, status),
                Phase::Answer(step) => return *step,
            };
        }
    }

    fn at_server(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        ctx.location = None;
        let Some(server) = self.site.servers.get(ctx.server) else {
            return page(500);
        };
        match self.script(session, ctx, &server.model.script) {
            End::Through | End::Stopped => Phase::Find,
            End::To(phase) => phase,
        }
    }

    fn find(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        ctx.flow.changed = false;
        ctx.location = None;
        let Some(server) = self.site.servers.get(ctx.server) else {
            return page(500);
        };
        let path = self.values(session, ctx).path().into_owned();
        match server
            .tree
            .find(&path, |regex| self.matches(regex, &path, ctx))
        {
            Found::Nothing => {}
            Found::WithSlash => {
                return self.with_slash(session, ctx, &path);
            }
            Found::Location(index) => ctx.location = Some(index),
        }
        let location = self.location(ctx);
        if location.is_some_and(|location| location.internal) && !ctx.flow.internal {
            return Phase::Fail(404);
        }
        if announced(session) > limit(self.common(ctx)) {
            return Phase::Fail(413);
        }
        Phase::Rewrite
    }

    fn at_location(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        let script = self.location(ctx).map(|location| &location.script);
        match script.map(|script| self.script(session, ctx, script)) {
            None | Some(End::Through | End::Stopped) => Phase::After,
            Some(End::To(phase)) => phase,
        }
    }

    fn content(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        match self.location(ctx).map(|location| &location.action) {
            Some(Do::Proxy(_)) => Phase::Answer(Box::new(Step::Proxy)),
            Some(Do::StubStatus) => {
                let text = self.site.stub.text().into();
                let reply = Reply::text(200, "text/plain".to_owned(), text);
                Phase::Answer(Box::new(Step::Reply(reply)))
            }
            Some(Do::Files) | None => self.files(session, ctx),
        }
    }

    /// What is answered here for the request's place.
    pub(super) fn web(&self, ctx: &Ctx) -> &Web {
        &self.common(ctx).web
    }

    /// Whether an error of this status has a page of its own that may still be fetched.
    pub(crate) fn has_page(&self, ctx: &Ctx, status: u16) -> bool {
        !ctx.flow.error_page && ctx.flow.changes_left > 0 && self.page_for(ctx, status).is_some()
    }

    /// Sends the client elsewhere; or to the page that the status has.
    pub(super) fn send_away(&self, ctx: &Ctx, status: u16, location: Vec<u8>) -> Phase {
        if self.has_page(ctx, status) {
            return Phase::Fail(status);
        }
        Phase::Answer(Box::new(Step::Reply(Reply::redirect(status, location))))
    }

    fn page_for(&self, ctx: &Ctx, status: u16) -> Option<&ErrorPage> {
        let mut pages = self.web(ctx).error_pages.iter();
        pages.find(|page| page.statuses.contains(&status))
    }

    fn fail(&self, session: &Session, ctx: &mut Ctx, status: u16) -> Phase {
        ctx.flow.err_status = status;
        if !self.has_page(ctx, status) {
            return page(status);
        }
        let Some(found) = self.page_for(ctx, status) else {
            return page(status);
        };
        let recursive = self.web(ctx).recursive_error_pages;
        let uri = self.values(session, ctx).value(&found.uri).into_owned();
        let overwrite = found.overwrite;
        ctx.flow.error_page = !recursive;
        if let Some(overwrite) = overwrite {
            ctx.flow.err_status = overwrite;
        }
        match uri.first() {
            Some(b'/') => {
                ctx.flow.as_get = true;
                self.redirect_inside(ctx, &uri)
            }
            Some(b'@') => self.to_named(ctx, &uri),
            _ => {
                let redirects = |status: &u16| matches!(status, 301 | 302 | 303 | 307 | 308);
                let status = overwrite.filter(redirects).unwrap_or(302);
                ctx.flow.err_status = status;
                Phase::Answer(Box::new(Step::Reply(Reply::redirect(status, uri))))
            }
        }
    }

    /// Sends the request to another path, and arguments if there is a `?` in it.
    #[expect(clippy::unused_self, reason = "one of a family")]
    pub(super) fn redirect_inside(&self, ctx: &mut Ctx, target: &[u8]) -> Phase {
        let (path, args) = uri::split(target);
        let flow = &mut ctx.flow;
        if !flow.change() {
            tracing::error!("rewrite or internal redirection cycle");
            return page(500);
        }
        flow.path = Some(path.to_vec());
        flow.args = Some(args.to_vec());
        flow.rewritten = true;
        flow.internal = true;
        flow.add_path = false;
        Phase::Server
    }

    /// Sends the request to a named location, its path as it is.
    pub(super) fn to_named(&self, ctx: &mut Ctx, name: &[u8]) -> Phase {
        if !ctx.flow.change() {
            tracing::error!("rewrite or internal redirection cycle");
            return page(500);
        }
        let server = self.site.servers.get(ctx.server);
        let named = std::str::from_utf8(name).ok();
        let found = server.and_then(|server| server.tree.named(named?));
        if found.is_none() {
            let name = String::from_utf8_lossy(name);
            tracing::error!("could not find named location \"{name}\"");
            ctx.flow.err_status = 500;
            return page(500);
        }
        ctx.location = found;
        ctx.flow.internal = true;
        ctx.flow.changed = false;
        ctx.flow.add_path = false;
        Phase::Rewrite
    }
}

fn after(ctx: &mut Ctx) -> Phase {
    if !ctx.flow.changed {
        return Phase::Preaccess;
    }
    if ctx.flow.change() {
        return Phase::Find;
    }
    tracing::error!("rewrite or internal redirection cycle");
    Phase::Fail(500)
}

/// The page of a status, with nothing asked.
fn page(status: u16) -> Phase {
    Phase::Answer(Box::new(Step::Reply(Reply::page(status))))
}
