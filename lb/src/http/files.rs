//! Static files: where a path leads, `index`, `try_files`.
//!
//! Questions to the file system are asked where they stand, as nginx does: short calls on local
//! paths. A file's bytes are read elsewhere, in pieces ([`super::reply`]). Directories are never
//! listed.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;

use http::Method;
use pingora::proxy::Session;
use weir_conf::nginx::model::gzip::Made;
use weir_conf::nginx::model::web::{Alias, TryLast};

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::{FileBody, Reply, Step};
use super::uri;

impl Gateway {
    /// The file that the request's path names.
    pub(super) fn file_path(&self, session: &Session, ctx: &Ctx, path: &[u8]) -> Vec<u8> {
        let root = &self.web(ctx).root;
        let mut out = self.values(session, ctx).value(&root.dir).into_owned();
        match root.alias {
            None => out.extend_from_slice(path),
            Some(Alias::Prefix(length)) => {
                out.extend_from_slice(path.get(length..).unwrap_or_default());
            }
            Some(Alias::Whole) if ctx.flow.add_path => out.extend_from_slice(path),
            Some(Alias::Whole) => {}
        }
        out
    }

    /// `try_files`
    pub(super) fn try_files(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        let Some(tries) = &self.web(ctx).try_files else {
            return Phase::Content;
        };
        let alias = self.web(ctx).root.alias;
        let path = self.values(session, ctx).path().into_owned();
        let root = self
            .values(session, ctx)
            .value(&self.web(ctx).root.dir)
            .into_owned();
        for (template, dir) in &tries.tests {
            let mut name = self.values(session, ctx).value(template).into_owned();
            if *dir {
                name.push(b'/');
            }
            if let Some(Alias::Prefix(length)) = alias
                && template.as_text().is_none()
                && let Some(own) = path.get(..length)
                && let Some(rest) = name.strip_prefix(own)
            {
                name = rest.to_vec();
            }
            let file = [root.as_slice(), name.as_slice()].concat();
            let Ok(meta) = metadata(&file) else { continue };
            if meta.is_dir() != *dir {
                continue;
            }
            match alias {
                None => ctx.flow.path = Some(name),
                Some(Alias::Prefix(length)) => {
                    let own = path.get(..length).unwrap_or_default();
                    ctx.flow.path = Some([own, name.as_slice()].concat());
                }
                Some(Alias::Whole) => {
                    if !*dir {
                        ctx.flow.path = Some(name);
                    }
                    ctx.flow.add_path = true;
                }
            }
            return Phase::Content;
        }
        match &tries.last {
            TryLast::Code(0) => Phase::Content,
            TryLast::Code(status) => Phase::Fail(*status),
            TryLast::Uri(template) => {
                let uri = self.values(session, ctx).value(template).into_owned();
                if uri.first() == Some(&b'@') {
                    self.to_named(ctx, &uri)
                } else {
                    self.redirect_inside(ctx, &uri)
                }
            }
        }
    }

    /// What the request's path names: a file, a directory's index, or nothing.
    pub(super) fn files(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        let method = &session.req_header().method;
        let reads = ctx.flow.as_get || matches!(*method, Method::GET | Method::HEAD);
        let path = self.values(session, ctx).path().into_owned();
        if path.last() == Some(&b'/') {
            if !reads && *method != Method::POST {
                return Phase::Fail(403);
            }
            return self.index(session, ctx, &path);
        }
        if !reads && *method != Method::POST {
            return Phase::Fail(405);
        }
        let file = self.file_path(session, ctx, &path);
        if reads && let Some(phase) = self.gzip_static(session, ctx, &path, &file) {
            return phase;
        }
        let opened = open(&file);
        let (file, meta) = match opened {
            Ok(found) => found,
            Err(error) => return Phase::Fail(status_of(&error, &file)),
        };
        if meta.is_dir() {
            return self.with_slash(session, ctx, &path);
        }
        if !meta.is_file() {
            return Phase::Fail(404);
        }
        if !reads {
            return Phase::Fail(405);
        }
        let body = FileBody::new(file, &meta);
        let kind = self.type_of(ctx, &path);
        Phase::Answer(Box::new(Step::Reply(Reply::file(kind, body))))
    }

    /// `gzip_static`: the file that is compressed already, if there is one and it is taken.
    fn gzip_static(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        path: &[u8],
        file: &[u8],
    ) -> Option<Phase> {
        let made = self.common(ctx).gzip.made;
        if made == Made::Off {
            return None;
        }
        let (file, meta) = open(&[file, b".gz"].concat()).ok()?;
        if !meta.is_file() {
            return None;
        }
        ctx.gzip_made |= made == Made::On;
        if made == Made::On && !self.takes_gzip(session, ctx) {
            return None;
        }
        let mut reply = Reply::file(self.type_of(ctx, path), FileBody::new(file, &meta));
        let coding = ("Content-Encoding".to_owned(), b"gzip".to_vec());
        reply.headers.push(coding);
        Some(Phase::Answer(Box::new(Step::Reply(reply))))
    }

    fn index(&self, session: &Session, ctx: &mut Ctx, path: &[u8]) -> Phase {
        let mut looked = false;
        for template in &self.web(ctx).index {
            let name = self.values(session, ctx).value(template).into_owned();
            if name.first() == Some(&b'/') {
                return self.to_index(session, ctx, name);
            }
            let target = [path, name.as_slice()].concat();
            let mut file = self.file_path(session, ctx, path);
            file.extend_from_slice(&name);
            match metadata(&file) {
                Ok(meta) if !meta.is_dir() || name.is_empty() => {
                    return self.to_index(session, ctx, target);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Phase::Fail(403);
                }
                Err(_) if looked => {}
                Err(_) => {
                    looked = true;
                    let dir = self.file_path(session, ctx, path);
                    if !metadata(&dir).is_ok_and(|meta| meta.is_dir()) {
                        return Phase::Fail(404);
                    }
                }
            }
        }
        Phase::Fail(403)
    }

    /// An index file is a new path with the same arguments.
    fn to_index(&self, session: &Session, ctx: &mut Ctx, path: Vec<u8>) -> Phase {
        let args = self.values(session, ctx).args().into_owned();
        let phase = self.redirect_inside(ctx, b"/");
        ctx.flow.path = Some(path);
        ctx.flow.args = Some(args);
        phase
    }

    /// The type that goes with a path's ending.
    pub(super) fn type_of(&self, ctx: &Ctx, path: &[u8]) -> String {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let ending = match name.iter().rposition(|byte| *byte == b'.') {
            Some(at) if at > 0 => name.get(at + 1..).unwrap_or_default(),
            _ => &[],
        };
        let ending = String::from_utf8_lossy(ending).to_ascii_lowercase();
        let common = self.common(ctx);
        let found = common.web.types.get(&ending).filter(|_| !ending.is_empty());
        found.unwrap_or(&common.default_type).clone()
    }

    /// A client that asks for `/a` where only `/a/` is, is sent there.
    pub(super) fn with_slash(&self, session: &Session, ctx: &Ctx, path: &[u8]) -> Phase {
        let args = self.values(session, ctx).args().into_owned();
        let mut location = Vec::new();
        uri::escape(path, &mut location);
        location.push(b'/');
        if !args.is_empty() {
            location.push(b'?');
            location.extend_from_slice(&args);
        }
        self.send_away(ctx, 301, self.absolute(session, ctx, location))
    }
}

fn metadata(path: &[u8]) -> std::io::Result<Metadata> {
    std::fs::metadata(OsStr::from_bytes(path))
}

/// Opened without waiting, so that a pipe nobody writes to holds no thread.
fn open(path: &[u8]) -> std::io::Result<(std::fs::File, Metadata)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    /// `O_NONBLOCK` of Linux.
    const NONBLOCK: i32 = 0o4000;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(NONBLOCK);
    let file = options.open(OsStr::from_bytes(path))?;
    let meta = file.metadata()?;
    Ok((file, meta))
}

/// nginx's status for a file that cannot be opened.
fn status_of(error: &std::io::Error, path: &[u8]) -> u16 {
    /// A name too long, too many links.
    const HARMLESS: [i32; 2] = [36, 40];
    let status = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput => 404,
        ErrorKind::PermissionDenied => 403,
        _ if error
            .raw_os_error()
            .is_some_and(|code| HARMLESS.contains(&code)) =>
        {
            404
        }
        _ => 500,
    };
    let file = String::from_utf8_lossy(path);
    tracing::error!(%error, "open() \"{file}\" failed");
    status
}
