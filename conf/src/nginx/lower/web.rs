//! Values of files, error pages, access and answer headers that `http`, `server` and `location`
//! may each set. Inheritance as in [`super::scope`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::error::{Error, Kind};
use super::super::model::Match;
use super::super::model::web::{
    AccessRule, Alias, AuthBasic, ErrorPage, Expires, IfModified, Root, TryFiles, TryLast, Web, Who,
};
use super::super::parse::Directive;
use super::super::template::{Part, Template};
use super::super::value as values;
use super::http::Refs;
use super::scope::{value, value_of};
use super::{Once, flag, invalid_value, number};

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    root: Option<Root>,
    index: Option<Vec<Template>>,
    try_files: Option<TryFiles>,
    types: Option<Arc<HashMap<String, String>>>,
    etag: Option<bool>,
    modified: Option<IfModified>,
    max_ranges: Option<u32>,
    expires: Option<Expires>,
    error_pages: Option<Vec<ErrorPage>>,
    recursive_error_pages: Option<bool>,
    intercept_errors: Option<bool>,
    access: Option<Vec<AccessRule>>,
    satisfy_any: Option<bool>,
    realm: Option<Template>,
    user_file: Option<Template>,
    absolute_redirect: Option<bool>,
    port_in_redirect: Option<bool>,
    server_name_in_redirect: Option<bool>,
}

impl Pages {
    /// Reads one directive. Says whether it was one of these.
    pub(super) fn read(
        &mut self,
        d: &Directive,
        refs: &Refs,
        once: &mut Once,
    ) -> Result<bool, Error> {
        if self.list(d, refs)? {
            return Ok(true);
        }
        if !self.scalar(d, refs)? {
            return Ok(false);
        }
        once.first(d)?;
        Ok(true)
    }

    fn scalar(&mut self, d: &Directive, refs: &Refs) -> Result<bool, Error> {
        match d.name.as_str() {
            "root" | "alias" => {
                if self.root.is_some() {
                    let (name, what) = match &self.root {
                        Some(root) if root.alias.is_some() => ("alias", d.name.as_str()),
                        _ => ("root", d.name.as_str()),
                    };
                    let message = if name == what {
                        format!("\"{what}\" directive is duplicate")
                    } else {
                        format!(
                            "\"{what}\" directive is duplicate, \"{name}\" directive was \
                                 specified earlier"
                        )
                    };
                    return Err(d.fault(Kind::Value, message));
                }
                self.root = Some(root(d, refs)?);
            }
            "types" => self.types = Some(Arc::new(types(d)?)),
            "try_files" => self.try_files = Some(try_files(d, refs)?),
            "etag" => self.etag = Some(flag(d)),
            "if_modified_since" => {
                self.modified = Some(match d.arg(0).unwrap_or_default() {
                    "off" => IfModified::Off,
                    "exact" => IfModified::Exact,
                    "before" => IfModified::Before,
                    other => return Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
                });
            }
            "max_ranges" => self.max_ranges = Some(number(d, 0)?),
            "expires" => self.expires = Some(expires(d, refs)?),
            "recursive_error_pages" => self.recursive_error_pages = Some(flag(d)),
            "proxy_intercept_errors" => self.intercept_errors = Some(flag(d)),
            "satisfy" => {
                self.satisfy_any = Some(match d.arg(0).unwrap_or_default() {
                    "all" => false,
                    "any" => true,
                    other => return Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
                });
            }
            "auth_basic" => self.realm = Some(value(d, 0, refs)?),
            "auth_basic_user_file" => {
                let path = refs.path(d.arg(0).unwrap_or_default());
                self.user_file = Some(value_of(d, &path, refs)?);
            }
            "absolute_redirect" => self.absolute_redirect = Some(flag(d)),
            "port_in_redirect" => self.port_in_redirect = Some(flag(d)),
            "server_name_in_redirect" => self.server_name_in_redirect = Some(flag(d)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn list(&mut self, d: &Directive, refs: &Refs) -> Result<bool, Error> {
        match d.name.as_str() {
            "index" => {
                for (arg, token) in d.args.iter().enumerate() {
                    if token.text.is_empty() {
                        let message = "index \"\" in \"index\" directive is invalid";
                        return Err(d.fault(Kind::Value, message));
                    }
                    let name = value(d, arg, refs)?;
                    self.index.get_or_insert_default().push(name);
                }
            }
            "error_page" => {
                let page = error_page(d, refs)?;
                self.error_pages.get_or_insert_default().push(page);
            }
            "allow" | "deny" => {
                let rule = AccessRule {
                    allow: d.name == "allow",
                    who: who(d)?,
                };
                self.access.get_or_insert_default().push(rule);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Says which location an `alias` of this block's stands in.
    pub(super) fn alias_at(&mut self, matching: &Match, path: &str) {
        if let Some(alias) = self.root.as_mut().and_then(|root| root.alias.as_mut())
            && !matches!(matching, Match::Regex(_))
        {
            *alias = Alias::Prefix(path.len());
        }
    }

    /// The values inside a block that sets `inner`.
    pub(super) fn with(&self, inner: Self) -> Self {
        let outer = self.clone();
        Self {
            root: inner.root.or(outer.root),
            index: inner.index.or(outer.index),
            try_files: inner.try_files,
            types: inner.types.or(outer.types),
            etag: inner.etag.or(outer.etag),
            modified: inner.modified.or(outer.modified),
            max_ranges: inner.max_ranges.or(outer.max_ranges),
            expires: inner.expires.or(outer.expires),
            error_pages: inner.error_pages.or(outer.error_pages),
            recursive_error_pages: inner.recursive_error_pages.or(outer.recursive_error_pages),
            intercept_errors: inner.intercept_errors.or(outer.intercept_errors),
            access: inner.access.or(outer.access),
            satisfy_any: inner.satisfy_any.or(outer.satisfy_any),
            realm: inner.realm.or(outer.realm),
            user_file: inner.user_file.or(outer.user_file),
            absolute_redirect: inner.absolute_redirect.or(outer.absolute_redirect),
            port_in_redirect: inner.port_in_redirect.or(outer.port_in_redirect),
            server_name_in_redirect: inner
                .server_name_in_redirect
                .or(outer.server_name_in_redirect),
        }
    }

    /// With nginx's defaults for what is not set.
    pub(super) fn resolve(&self, refs: &Refs) -> Web {
        let default = Web::default();
        let set = self.clone();
        let auth = set.realm.map(|realm| AuthBasic {
            realm,
            file: set.user_file,
            prefix: refs.prefix().to_path_buf(),
        });
        Web {
            root: set.root.unwrap_or_else(|| Root {
                dir: Template::text(&refs.path("html")),
                alias: None,
            }),
            index: set.index.unwrap_or(default.index),
            try_files: set.try_files,
            types: set.types.unwrap_or(default.types),
            etag: set.etag.unwrap_or(default.etag),
            modified: set.modified.unwrap_or(default.modified),
            max_ranges: set.max_ranges.unwrap_or(default.max_ranges),
            expires: set.expires.filter(|it| *it != Expires::Off),
            error_pages: set.error_pages.unwrap_or_default(),
            recursive_error_pages: set.recursive_error_pages.unwrap_or(false),
            intercept_errors: set.intercept_errors.unwrap_or(false),
            access: set.access.unwrap_or_default(),
            satisfy_any: set.satisfy_any.unwrap_or(false),
            auth: auth.filter(|auth| auth.realm.as_text() != Some("off")),
            absolute_redirect: set.absolute_redirect.unwrap_or(true),
            port_in_redirect: set.port_in_redirect.unwrap_or(true),
            server_name_in_redirect: set.server_name_in_redirect.unwrap_or(false),
        }
    }
}

/// A path of the file's, made absolute.
pub(super) fn absolute(prefix: &Path, text: &str) -> String {
    if text.starts_with('/') || text.starts_with('$') {
        return text.to_owned();
    }
    prefix
        .join(PathBuf::from(text))
        .to_string_lossy()
        .into_owned()
}

fn root(d: &Directive, refs: &Refs) -> Result<Root, Error> {
    let text = d.arg(0).unwrap_or_default();
    if text.contains("$document_root") || text.contains("${document_root") {
        let message = format!(
            "the $document_root variable cannot be used in the \"{}\" directive",
            d.name
        );
        return Err(d.fault(Kind::Value, message));
    }
    let alias = d.name == "alias";
    let path = refs.path(text);
    let path = if alias {
        &path
    } else {
        path.trim_end_matches('/')
    };
    Ok(Root {
        dir: value_of(d, path, refs)?,
        // The location says how much: `alias_at`.
        alias: alias.then_some(Alias::Whole),
    })
}

fn types(block: &Directive) -> Result<HashMap<String, String>, Error> {
    let mut out = HashMap::new();
    for entry in block.children() {
        if entry.args.is_empty() {
            let message = "invalid number of arguments in \"types\" directive";
            return Err(entry.fault(Kind::Value, message));
        }
        for ending in &entry.args {
            out.insert(ending.text.to_ascii_lowercase(), entry.name.clone());
        }
    }
    Ok(out)
}

fn try_files(d: &Directive, refs: &Refs) -> Result<TryFiles, Error> {
    let last = d.args.len().saturating_sub(1);
    let mut tests = Vec::new();
    for token in d.args.iter().take(last) {
        let (path, dir) = match token.text.strip_suffix('/') {
            Some(path) => (path, true),
            None => (token.text.as_str(), false),
        };
        tests.push((value_of(d, path, refs)?, dir));
    }
    let text = d.arg(last).unwrap_or_default();
    let last = match text.strip_prefix('=') {
        Some(code) => {
            let code = values::number::<u16>(code).filter(|code| *code <= 999);
            TryLast::Code(code.ok_or_else(|| {
                let message = format!("invalid code \"{}\"", text.trim_start_matches('='));
                d.fault(Kind::Value, message)
            })?)
        }
        None => TryLast::Uri(value(d, last, refs)?),
    };
    Ok(TryFiles { tests, last })
}

fn expires(d: &Directive, refs: &Refs) -> Result<Expires, Error> {
    let (modified, arg) = match (d.arg(0), d.args.len()) {
        (Some("modified"), 2) => (true, 1),
        (_, 2) => return Err(invalid_value(d)),
        _ => (false, 0),
    };
    let text = d.arg(arg).unwrap_or_default();
    let template = value(d, arg, refs)?;
    if template
        .parts
        .iter()
        .any(|part| matches!(part, Part::Var(_)))
    {
        return Ok(Expires::Variable(template));
    }
    Expires::parse(text, modified).ok_or_else(|| invalid_value(d))
}

impl Expires {
    /// A value of `expires` as a variable gives it, or as it is written.
    #[must_use]
    pub fn parse(text: &str, modified: bool) -> Option<Self> {
        match text {
            "off" => return Some(Self::Off),
            "epoch" => return Some(Self::Epoch),
            "max" => return Some(Self::Max),
            _ => {}
        }
        let seconds = |text: &str| {
            let ms = values::time_ms(text)?;
            i64::try_from(ms / 1000).ok()
        };
        if let Some(time) = text.strip_prefix('@') {
            return seconds(time).filter(|it| *it <= 86_400).map(Self::Daily);
        }
        let after = match text.strip_prefix('-') {
            Some(time) => -seconds(time)?,
            None => seconds(text.strip_prefix('+').unwrap_or(text))?,
        };
        Some(if modified {
            Self::AfterModified(after)
        } else {
            Self::After(after)
        })
    }
}

fn error_page(d: &Directive, refs: &Refs) -> Result<ErrorPage, Error> {
    let last = d.args.len().saturating_sub(1);
    let mut overwrite = None;
    let mut statuses = Vec::new();
    for (index, token) in d.args.iter().take(last).enumerate() {
        let text = token.text.as_str();
        if let Some(code) = text.strip_prefix('=') {
            let code = if code.is_empty() {
                Some(0)
            } else {
                values::number(code)
            };
            let code = code.filter(|_| index > 0 && index + 1 == last);
            overwrite = Some(
                code.ok_or_else(|| d.fault(Kind::Value, format!("invalid value \"{text}\"")))?,
            );
            continue;
        }
        let status = values::number::<u16>(text)
            .ok_or_else(|| d.fault(Kind::Value, format!("invalid value \"{text}\"")))?;
        if !(300..=599).contains(&status) || status == 499 {
            let message = format!("value \"{text}\" must be between 300 and 599");
            return Err(d.fault(Kind::Value, message));
        }
        statuses.push(status);
    }
    Ok(ErrorPage {
        statuses,
        overwrite,
        uri: value(d, last, refs)?,
    })
}

fn who(d: &Directive) -> Result<Who, Error> {
    match d.arg(0).unwrap_or_default() {
        "all" => Ok(Who::All),
        "unix:" => Ok(Who::Unix),
        text => super::variable::network(d, text)
            .map(Who::Net)
            .map_err(|_| d.fault(Kind::Value, format!("invalid parameter \"{text}\""))),
    }
}
