//! What a place answers by itself: files, error pages, who may come in, headers of the answer.
//!
//! Everything is resolved: inheritance and defaults are nginx's.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::nginx::template::Template;

/// The values of one place.
#[derive(Debug, Clone)]
pub struct Web {
    /// `root` or `alias`
    pub root: Root,
    /// `index`
    pub index: Vec<Template>,
    /// `try_files`; not inherited.
    pub try_files: Option<TryFiles>,
    /// `types`: by ending, lower case.
    pub types: Arc<HashMap<String, String>>,
    /// `etag`
    pub etag: bool,
    /// `if_modified_since`
    pub modified: IfModified,
    /// `max_ranges`
    pub max_ranges: u32,
    /// `expires`
    pub expires: Option<Expires>,
    /// `error_page`
    pub error_pages: Vec<ErrorPage>,
    /// `recursive_error_pages`
    pub recursive_error_pages: bool,
    /// `proxy_intercept_errors`
    pub intercept_errors: bool,
    /// `allow` and `deny`, in the order they stand.
    pub access: Vec<AccessRule>,
    /// `satisfy any`
    pub satisfy_any: bool,
    /// `auth_basic` and `auth_basic_user_file`
    pub auth: Option<AuthBasic>,
    /// `absolute_redirect`
    pub absolute_redirect: bool,
    /// `port_in_redirect`
    pub port_in_redirect: bool,
    /// `server_name_in_redirect`
    pub server_name_in_redirect: bool,
}

impl Default for Web {
    fn default() -> Self {
        let types = [
            ("html", "text/html"),
            ("gif", "image/gif"),
            ("jpg", "image/jpeg"),
        ];
        let types = types.map(|(ending, kind)| (ending.to_owned(), kind.to_owned()));
        Self {
            root: Root::default(),
            index: vec![Template::text("index.html")],
            try_files: None,
            types: Arc::new(types.into()),
            etag: true,
            modified: IfModified::Exact,
            max_ranges: u32::MAX,
            expires: None,
            error_pages: Vec::new(),
            recursive_error_pages: false,
            intercept_errors: false,
            access: Vec::new(),
            satisfy_any: false,
            auth: None,
            absolute_redirect: true,
            port_in_redirect: true,
            server_name_in_redirect: false,
        }
    }
}

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The directory, absolute.
    pub dir: Template,
    /// `alias`: the directory takes the place of the location's path.
    pub alias: Option<Alias>,
}

/// What the directory of an `alias` takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// So many bytes of the path.
    Prefix(usize),
    /// The whole path, as in a location that is a regular expression.
    Whole,
}

impl Default for Root {
    fn default() -> Self {
        Self {
            dir: Template::text("html"),
            alias: None,
        }
    }
}

/// `try_files`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryFiles {
    /// Paths to try, and whether each shall be a directory.
    pub tests: Vec<(Template, bool)>,
    /// What holds if none is there.
    pub last: TryLast,
}

/// The last word of `try_files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryLast {
    /// `=code`
    Code(u16),
    /// A URI or an `@name` to go to.
    Uri(Template),
}

/// `if_modified_since`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfModified {
    /// `off`
    Off,
    /// `exact`
    Exact,
    /// `before`
    Before,
}

/// `expires`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expires {
    /// `off`
    Off,
    /// `epoch`
    Epoch,
    /// `max`
    Max,
    /// Seconds from now; less than none is `no-cache`.
    After(i64),
    /// Seconds from when the file was modified.
    AfterModified(i64),
    /// The second of the day, local time.
    Daily(i64),
    /// Worked out for each answer, then read as one of the above.
    Variable(Template),
}

/// `error_page`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// For these.
    pub statuses: Vec<u16>,
    /// `=`: the status given instead, zero for that of the page; `None` keeps the error's.
    pub overwrite: Option<u16>,
    /// A URI, an `@name`, or a URL to send the client to.
    pub uri: Template,
}

/// `allow` or `deny`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Whether it lets in.
    pub allow: bool,
    /// Whom it is about.
    pub who: Who,
}

/// Whom an access rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// `all`
    All,
    /// A network.
    Net(IpNet),
    /// `unix:`
    Unix,
}

/// `auth_basic`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthBasic {
    /// The realm; `off` once worked out lets everyone in.
    pub realm: Template,
    /// `auth_basic_user_file`
    pub file: Option<Template>,
    /// Where a relative path that a variable comes to begins.
    pub prefix: std::path::PathBuf,
}

/// One step of the rewrite module, in the order they stand.
#[derive(Debug, Clone)]
pub enum Op {
    /// `set`
    Set {
        /// Which variable.
        target: Target,
        /// Its value.
        value: Template,
    },
    /// `if`
    If {
        /// What is asked.
        test: Test,
        /// What is done.
        body: Vec<Op>,
        /// The location that holds from there on, by its place in the server's; none at the
        /// server's own level.
        location: Option<usize>,
    },
    /// `return`
    Return(super::Return),
    /// `rewrite`
    Rewrite(Box<Rewrite>),
    /// `break`
    Break,
}

/// What `set` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A variable of the file's.
    User(usize),
    /// `$args`
    Args,
    /// `$limit_rate`
    LimitRate,
}

/// The condition of an `if`.
#[derive(Debug, Clone)]
pub enum Test {
    /// A variable alone: neither empty nor `0`.
    True(Template),
    /// `=`, or `!=` if `not`.
    Equal {
        /// The variable.
        left: Template,
        /// What it is compared with.
        right: Template,
        /// Whether the answer is turned round.
        not: bool,
    },
    /// `~`, `~*`, `!~`, `!~*`
    Matches {
        /// The variable.
        left: Template,
        /// The expression.
        regex: crate::nginx::Regex,
        /// Whether the answer is turned round.
        not: bool,
    },
    /// `-f`, `-d`, `-e`, `-x` and their `!` forms.
    File {
        /// The path.
        path: Template,
        /// What it shall be.
        kind: FileTest,
        /// Whether the answer is turned round.
        not: bool,
    },
}

/// What a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTest {
    /// `-f`
    File,
    /// `-d`
    Directory,
    /// `-e`
    Exists,
    /// `-x`
    Executable,
}

/// `rewrite`
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// What the path must match.
    pub regex: crate::nginx::Regex,
    /// The new path, before its `?`.
    pub path: Template,
    /// New arguments, if there is a `?`.
    pub args: Option<Template>,
    /// Whether the arguments there were are put behind: no `?` at the end.
    pub keep_args: bool,
    /// What happens then.
    pub then: Then,
}

/// What a rewrite does once it matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// No flag: the next step.
    Next,
    /// `last`
    Last,
    /// `break`
    Break,
    /// `redirect`, `permanent`, or a URL: the status.
    Redirect(u16),
}
