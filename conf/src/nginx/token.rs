//! The tokenizer: bytes of one file to statements, as nginx's reader does it.
//!
//! Why by hand: nginx's quoting is its own. A word may start with a quote (then it ends at the
//! matching one and white space, `;`, `{` or `)` must follow) or not (then quotes inside it are
//! plain characters); `${name}` does not open a block; `\` keeps the next byte out of the
//! grammar, and only `\"`, `\'`, `\\`, `\t`, `\r`, `\n` are rewritten. `#` opens a comment only
//! where a word could start.
//!
//! Limits: a word is at most [`MAX_WORD_BYTES`], as in nginx. Words must be UTF-8. Failures say
//! the line; hostile bytes never panic.

/// Longest word accepted, in bytes: nginx's read buffer.
pub const MAX_WORD_BYTES: usize = 4096;

/// One word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The word, quotes taken off and escapes rewritten.
    pub text: String,
    /// Line it starts on, from 1.
    pub line: u32,
}

/// What ended a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `;`
    Semicolon,
    /// `{`
    Block,
}

/// The next thing in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Words and what ended them. Never without words.
    Statement {
        /// The words, the directive's name first.
        tokens: Vec<Token>,
        /// What ended them.
        end: End,
    },
    /// `}`
    BlockEnd,
    /// The end of the file, with no statement open.
    Eof,
}

/// A fault of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// nginx's text for it.
    pub message: String,
    /// Line, from 1.
    pub line: u32,
}

/// Reads one file's bytes.
#[derive(Debug)]
pub struct Tokenizer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Tokenizer<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            line: 1,
        }
    }

    /// The line reached, from 1: after a statement, the line of its `;` or `{`.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The next statement, block end or end of file.
    ///
    /// # Errors
    /// A byte that cannot stand where it does, a word without an end, or a word too long.
    pub fn next_item(&mut self) -> Result<Item, Fault> {
        let mut tokens = Vec::new();
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.skip_comment(),
                b';' | b'{' => {
                    self.at += 1;
                    if tokens.is_empty() {
                        return Err(self.fault(format!("unexpected \"{}\"", char::from(byte))));
                    }
                    let end = if byte == b';' {
                        End::Semicolon
                    } else {
                        End::Block
                    };
                    return Ok(Item::Statement { tokens, end });
                }
                b'}' => {
                    self.at += 1;
                    if !tokens.is_empty() {
                        return Err(self.fault("unexpected \"}\""));
                    }
                    return Ok(Item::BlockEnd);
                }
                b'"' | b'\'' => tokens.push(self.quoted(byte)?),
                _ => tokens.push(self.bare()?),
            }
        }
        if tokens.is_empty() {
            return Ok(Item::Eof);
        }
        Err(self.fault("unexpected end of file, expecting \";\" or \"}\""))
    }

    fn skip_comment(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, Fault> {
        let line = self.line;
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(self.fault("unexpected end of file, expecting \";\" or \"}\""));
            };
            if self.at - start >= MAX_WORD_BYTES {
                return Err(Fault {
                    message: format!(
                        "too long parameter, probably missing terminating \"{}\" character",
                        char::from(quote)
                    ),
                    line,
                });
            }
            if byte == b'\n' {
                self.line = self.line.saturating_add(1);
            }
            self.at += 1;
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == quote {
                break;
            }
        }
        let token = self.word(start, self.at - 1, line)?;
        self.after_quote()?;
        Ok(token)
    }

    /// After a closing quote nginx wants white space, `;`, `{` or `)`.
    fn after_quote(&self) -> Result<(), Fault> {
        match self.bytes.get(self.at) {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(()),
            Some(&byte) => Err(self.fault(format!("unexpected \"{}\"", byte.escape_ascii()))),
        }
    }

    fn bare(&mut self) -> Result<Token, Fault> {
        let line = self.line;
        let start = self.at;
        let mut escaped = false;
        let mut variable = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.at - start >= MAX_WORD_BYTES {
                let head = self
                    .bytes
                    .get(start..start + 10)
                    .unwrap_or_default()
                    .escape_ascii();
                return Err(Fault {
                    message: format!("too long parameter \"{head}...\" started"),
                    line,
                });
            }
            if escaped {
                escaped = false;
                if byte == b'\n' {
                    self.line = self.line.saturating_add(1);
                }
            } else if byte == b'{' && variable {
                variable = false;
            } else {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                    b'\\' => escaped = true,
                    _ => {}
                }
                variable = byte == b'$';
            }
            self.at += 1;
        }
        self.word(start, self.at, line)
    }

    fn word(&self, start: usize, end: usize, line: u32) -> Result<Token, Fault> {
        let raw = self.bytes.get(start..end).unwrap_or_default();
        match String::from_utf8(unescape(raw)) {
            Ok(text) => Ok(Token { text, line }),
            Err(_) => Err(Fault {
                message: "invalid UTF-8 sequence in parameter".to_owned(),
                line,
            }),
        }
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            message: message.into(),
            line: self.line,
        }
    }
}

/// Rewrites the six escapes nginx knows; any other backslash stays.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escape = (byte == b'\\').then(|| bytes.peek().copied()).flatten();
        let rewritten = match escape {
            Some(plain @ (b'"' | b'\'' | b'\\')) => plain,
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.push(rewritten);
        bytes.next();
    }
    out
}
