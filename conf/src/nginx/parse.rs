//! Statements to a tree, with `include` expanded in place.
//!
//! Why the check runs while reading: nginx refuses an unknown directive before it reads the
//! directive's block, so a Lua block (whose text is not nginx's grammar) gives "unknown
//! directive", not a puzzle about braces. [`parse_file`] therefore calls a [`Check`] on each
//! directive as soon as its name, words and terminator are known.
//!
//! `include` takes a path or a glob, relative to the directory of the main file (nginx's
//! `conf_prefix`), in sorted order; a glob that matches nothing is fine, a missing literal file
//! is an error. Limits: [`Limits`]. Failures: [`Error`] with file and line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Kind, Pos};
use super::token::{End, Fault, Item, Token, Tokenizer};

/// Bounds on what is read, so that a wrong path or a loop of includes ends in an error.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Size of one file in bytes.
    pub file_bytes_max: u64,
    /// Size of all files together in bytes.
    pub total_bytes_max: u64,
    /// Files read.
    pub files_max: usize,
    /// How deep `include` may nest.
    pub include_depth_max: usize,
    /// How deep blocks may nest.
    pub block_depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes_max: 4 << 20,
            total_bytes_max: 16 << 20,
            files_max: 1024,
            include_depth_max: 16,
            block_depth_max: 32,
        }
    }
}

/// A directive: its name, its words, and its block if it opened one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The first word.
    pub name: String,
    /// The other words.
    pub args: Vec<Token>,
    /// What stands between its braces, includes expanded.
    pub block: Option<Vec<Directive>>,
    /// Where its name stands.
    pub start: Pos,
    /// Where its `;` or `{` stands: the line nginx names in errors.
    pub pos: Pos,
}

impl Directive {
    /// The text of word `n` after the name.
    #[must_use]
    pub fn arg(&self, n: usize) -> Option<&str> {
        self.args.get(n).map(|token| token.text.as_str())
    }

    /// A fault in this directive.
    #[must_use]
    pub fn fault(&self, kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, message, &self.pos)
    }

    /// The directives in its block, none if it has no block.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// The whole configuration as a tree.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Directives of the main context.
    pub directives: Vec<Directive>,
    /// Every file read, in order, for `-T` and for watching.
    pub files: Vec<PathBuf>,
    /// The directory of the main file: what relative paths in it are relative to.
    pub prefix: PathBuf,
}

/// Says whether a directive may stand inside the blocks `parents` (outermost first).
pub type Check<'a> = &'a dyn Fn(&Directive, End, &[String]) -> Result<(), Error>;

/// Reads a file and what it includes.
///
/// # Errors
/// The first fault found.
pub fn parse_file(path: &Path, limits: &Limits, check: Check<'_>) -> Result<Tree, Error> {
    let prefix = path.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
    let mut parser = Parser::new(prefix, limits, check);
    let bytes = parser.read(path, None)?;
    let directives = parser.file(&bytes, &path.to_string_lossy(), &mut Vec::new())?;
    Ok(Tree {
        directives,
        files: parser.files,
        prefix: parser.prefix,
    })
}

/// Reads text at hand under the name `name`; includes are relative to `prefix`.
///
/// # Errors
/// The first fault found.
pub fn parse_text(
    text: &[u8],
    name: &str,
    prefix: &Path,
    limits: &Limits,
    check: Check<'_>,
) -> Result<Tree, Error> {
    let mut parser = Parser::new(prefix.to_path_buf(), limits, check);
    let directives = parser.file(text, name, &mut Vec::new())?;
    Ok(Tree {
        directives,
        files: parser.files,
        prefix: parser.prefix,
    })
}

/// A check that lets everything pass: the grammar alone.
///
/// # Errors
/// None.
pub fn any(_: &Directive, _: End, _: &[String]) -> Result<(), Error> {
    Ok(())
}

struct Parser<'a> {
    prefix: PathBuf,
    limits: &'a Limits,
    check: Check<'a>,
    files: Vec<PathBuf>,
    total_bytes: u64,
    include_depth: usize,
}

impl<'a> Parser<'a> {
    fn new(prefix: PathBuf, limits: &'a Limits, check: Check<'a>) -> Self {
        Self {
            prefix,
            limits,
            check,
            files: Vec::new(),
            total_bytes: 0,
            include_depth: 0,
        }
    }

    /// Parses one file from its first byte to its end; it must close what it opens.
    fn file(
        &mut self,
        bytes: &[u8],
        name: &str,
        parents: &mut Vec<String>,
    ) -> Result<Vec<Directive>, Error> {
        let mut source = Source {
            tokenizer: Tokenizer::new(bytes),
            name: name.into(),
        };
        self.block(&mut source, parents, false)
    }

    fn block(
        &mut self,
        source: &mut Source<'_>,
        parents: &mut Vec<String>,
        inside: bool,
    ) -> Result<Vec<Directive>, Error> {
        let mut out = Vec::new();
        loop {
            match source.next_item()? {
                Item::BlockEnd if inside => return Ok(out),
                Item::BlockEnd => return Err(source.fault(Kind::Syntax, "unexpected \"}\"")),
                Item::Eof if inside => {
                    let message = "unexpected end of file, expecting \"}\"";
                    return Err(source.fault(Kind::Syntax, message));
                }
                Item::Eof => return Ok(out),
                Item::Statement { tokens, end } => {
                    self.statement(source, tokens, end, parents, &mut out)?;
                }
            }
        }
    }

    fn statement(
        &mut self,
        source: &mut Source<'_>,
        tokens: Vec<Token>,
        end: End,
        parents: &mut Vec<String>,
        out: &mut Vec<Directive>,
    ) -> Result<(), Error> {
        let mut tokens = tokens.into_iter();
        let Some(name) = tokens.next() else {
            return Ok(());
        };
        let mut directive = Directive {
            start: source.pos(name.line),
            pos: source.pos(source.tokenizer.line()),
            name: name.text,
            args: tokens.collect(),
            block: None,
        };
        (self.check)(&directive, end, parents)?;
        if directive.name == "include" && end == End::Semicolon {
            return self.include(&directive, parents, out);
        }
        if end == End::Block {
            if parents.len() >= self.limits.block_depth_max {
                return Err(directive.fault(Kind::Syntax, "blocks are nested too deep"));
            }
            parents.push(directive.name.clone());
            directive.block = Some(self.block(source, parents, true)?);
            parents.pop();
        }
        out.push(directive);
        Ok(())
    }

    fn include(
        &mut self,
        directive: &Directive,
        parents: &mut Vec<String>,
        out: &mut Vec<Directive>,
    ) -> Result<(), Error> {
        let Some(pattern) = directive.arg(0).filter(|_| directive.args.len() == 1) else {
            let message = "invalid number of arguments in \"include\" directive";
            return Err(directive.fault(Kind::Value, message));
        };
        if self.include_depth >= self.limits.include_depth_max {
            return Err(directive.fault(Kind::Syntax, "include is nested too deep"));
        }
        self.include_depth += 1;
        for path in self.matches(pattern, directive)? {
            let bytes = self.read(&path, Some(directive))?;
            let found = self.file(&bytes, &path.to_string_lossy(), parents)?;
            out.extend(found);
        }
        self.include_depth -= 1;
        Ok(())
    }

    /// The files an include names, sorted; a literal name is returned unlooked at.
    fn matches(&self, pattern: &str, directive: &Directive) -> Result<Vec<PathBuf>, Error> {
        let full = self.prefix.join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return Ok(vec![full]);
        }
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let found = glob::glob_with(&full.to_string_lossy(), options).map_err(|error| {
            directive.fault(
                Kind::Io,
                format!("glob() \"{}\" failed ({error})", full.display()),
            )
        })?;
        let mut paths = Vec::new();
        for entry in found {
            // What cannot be looked at does not match, as with glob(3).
            let Ok(path) = entry else { continue };
            if paths.len() >= self.limits.files_max {
                return Err(directive.fault(Kind::Io, "too many included files"));
            }
            paths.push(path);
        }
        Ok(paths)
    }

    fn read(&mut self, path: &Path, from: Option<&Directive>) -> Result<Vec<u8>, Error> {
        let fail = |message: String| Error {
            message,
            pos: from.map(|directive| directive.pos.clone()),
            kind: Kind::Io,
        };
        if self.files.len() >= self.limits.files_max {
            return Err(fail("too many included files".to_owned()));
        }
        let bytes = read_bounded(path, self.limits.file_bytes_max).map_err(|error| {
            fail(format!(
                "open() \"{}\" failed ({})",
                path.display(),
                os_text(&error)
            ))
        })?;
        self.total_bytes = self.total_bytes.saturating_add(bytes.len() as u64);
        if self.total_bytes > self.limits.total_bytes_max {
            return Err(fail(format!(
                "configuration is larger than {} bytes",
                self.limits.total_bytes_max
            )));
        }
        self.files.push(path.to_path_buf());
        Ok(bytes)
    }
}

/// One file being read.
struct Source<'a> {
    tokenizer: Tokenizer<'a>,
    name: Arc<str>,
}

impl Source<'_> {
    fn next_item(&mut self) -> Result<Item, Error> {
        self.tokenizer
            .next_item()
            .map_err(|Fault { message, line }| Error::new(Kind::Syntax, message, &self.pos(line)))
    }

    fn pos(&self, line: u32) -> Pos {
        Pos {
            file: Arc::clone(&self.name),
            line,
        }
    }

    fn fault(&self, kind: Kind, message: &str) -> Error {
        Error::new(kind, message, &self.pos(self.tokenizer.line()))
    }
}

fn read_bounded(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(std::io::Error::other(format!(
            "larger than {max_bytes} bytes"
        )));
    }
    Ok(bytes)
}

/// nginx writes `2: No such file or directory`, std writes `No such file or directory (os error 2)`.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => {
            let plain = text
                .strip_suffix(&format!(" (os error {code})"))
                .unwrap_or(&text);
            format!("{code}: {plain}")
        }
        None => text,
    }
}
