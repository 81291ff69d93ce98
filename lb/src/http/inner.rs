//! Requests made inside for another: `auth_request` asks a location whether a request may pass.
//!
//! Each goes through Pingora as a request of its own: the client's header without its body, as a
//! GET, for another path, past the access phase. Its answer goes nowhere: what is wanted of it is
//! the status, the challenges of a 401, and the values that `auth_request_set` names, which are
//! worked out where the answer is known. Limits: nothing of the answer is kept; it may take as long
//! as its location's own times allow.

use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{Method, Version};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::proxy::subrequest::Ctx as About;
use tokio::sync::oneshot;
use weir_conf::nginx::model::web::Target;
use weir_conf::nginx::process::LogLevel;
use weir_conf::nginx::template::Template;

use super::conn::Conn;
use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::real_ip::Behind;
use super::script;

/// A request inside, as the one it is made for tells it.
#[derive(Debug)]
pub(crate) struct Inner {
    path: Vec<u8>,
    /// `$request_method`: the client's.
    pub(crate) method: Method,
    conn: Option<Arc<Conn>>,
    behind: Option<Behind>,
    server: usize,
    host: String,
    slots: Vec<Option<Arc<[u8]>>>,
    limits: (Option<&'static str>, Option<&'static str>),
    wanted: Vec<Template>,
    told: Option<oneshot::Sender<Told>>,
}

/// What came of it.
#[derive(Debug)]
struct Told {
    status: u16,
    challenges: Vec<String>,
    values: Vec<Vec<u8>>,
}

/// The request inside that a session is, taken out of it.
pub(super) fn of_session(session: &mut Session) -> Option<Box<Inner>> {
    let about = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    about.downcast_mut::<Option<Box<Inner>>>()?.take()
}

impl Gateway {
    /// Asks `auth_request`'s location, and goes on as it says. `refused` is what the rules before
    /// said, where any of them may let in.
    pub(super) async fn ask(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        refused: Option<u16>,
    ) -> Phase {
        let guard = &self.common(ctx).guard;
        let Some(path) = &guard.auth_request else {
            return Phase::Try;
        };
        let any = self.web(ctx).satisfy_any;
        let sets: Vec<(Target, Template)> = guard.auth_sets.clone();
        let wanted = sets.iter().map(|(_, value)| value.clone()).collect();
        let told = inside(session, ctx, path, wanted).await;
        let Some(told) = told else {
            return Phase::Fail(500);
        };
        for ((target, _), value) in sets.iter().zip(told.values) {
            script::set(ctx, *target, value);
        }
        match told.status {
            200..=299 => Phase::Try,
            401 | 403 if any && refused == Some(401) => self.refuse(ctx, 401),
            401 => {
                ctx.flow.challenges = told.challenges;
                self.refuse(ctx, 401)
            }
            403 => Phase::Fail(403),
            status => {
                let text = format!("auth request unexpected status: {status}");
                self.say(session, ctx, LogLevel::Error, &text);
                Phase::Fail(500)
            }
        }
    }

    /// Takes a request inside to its location's answer. `Ok(true)` if that was one of our own.
    pub(super) async fn receive_inner(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        mut inner: Box<Inner>,
    ) -> pingora::Result<bool> {
        session.req_header_mut().set_method(Method::GET);
        ctx.conn = inner.conn.take();
        ctx.behind = inner.behind.take();
        ctx.server = inner.server;
        ctx.host = std::mem::take(&mut inner.host);
        (ctx.limited.requests, ctx.limited.connections) = inner.limits;
        ctx.flow.path = Some(std::mem::take(&mut inner.path));
        ctx.flow.args = Some(Vec::new());
        ctx.flow.rewritten = true;
        ctx.flow.internal = true;
        ctx.flow.take_slots(std::mem::take(&mut inner.slots));
        ctx.inner = Some(inner);
        let step = self.go(session, ctx, Phase::Server).await;
        self.conclude(session, ctx, step).await
    }

    /// Tells the one it was made for what came of a request inside.
    pub(super) fn tell(&self, session: &Session, ctx: &Ctx, inner: &mut Inner, status: u16) {
        let Some(told) = inner.told.take() else {
            return;
        };
        let values = self.values(session, ctx);
        let header = session.response_written();
        let challenges = header.map(|header| header.headers.get_all(WWW_AUTHENTICATE));
        let texts = challenges.into_iter().flatten();
        // Who asked may have gone.
        let _ = told.send(Told {
            status,
            challenges: texts
                .filter_map(|it| Some(it.to_str().ok()?.to_owned()))
                .collect(),
            values: inner
                .wanted
                .iter()
                .map(|it| values.value(it).into_owned())
                .collect(),
        });
    }
}

/// Makes a request inside and waits for its end. `None` if there was no answer.
async fn inside(
    session: &mut Session,
    ctx: &Ctx,
    path: &str,
    wanted: Vec<Template>,
) -> Option<Told> {
    let spawner = session.subrequest_spawner.as_ref()?;
    let (sender, told) = oneshot::channel();
    let inner = Inner {
        path: path.as_bytes().to_vec(),
        method: session.req_header().method.clone(),
        conn: ctx.conn.clone(),
        behind: ctx.behind.clone(),
        server: ctx.server,
        host: ctx.host.clone(),
        slots: ctx.flow.slots(),
        limits: (ctx.limited.requests, ctx.limited.connections),
        wanted,
        told: Some(sender),
    };
    let about = About::builder()
        .user_ctx(Box::new(Some(Box::new(inner))))
        .build();
    let spoken = match session.req_header().version {
        Version::HTTP_2 => Some(in_http_1(session).await?),
        _ => None,
    };
    let own = spoken.as_deref().unwrap_or(session.as_downstream());
    let (request, handle) = spawner.create_subrequest(own, about);
    handle.drain_tasks();
    request.run().await;
    told.await.ok()
}

/// A request of HTTP/2 as HTTP/1 has it: what is made inside is read anew, and from that alone.
pub(super) async fn in_http_1(session: &Session) -> Option<Box<ServerSession>> {
    let request = session.req_header();
    let mut head = format!("{} ", request.method).into_bytes();
    head.extend_from_slice(request.raw_path());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = request.uri.authority() {
        head.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
    }
    let named = request.uri.authority().is_some();
    for (name, value) in &request.headers {
        if named && name == http::header::HOST {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let stream: pingora::protocols::Stream = Box::new(std::io::Cursor::new(head));
    let mut session = Box::new(ServerSession::new_http1(stream));
    session.read_request().await.ok()?.then_some(session)
}
