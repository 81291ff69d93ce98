//! Values with variables: `$host`, `${http_upgrade}-x`.
//!
//! Why parsed at load: an unknown variable is a fault of the file, and a request then only walks
//! a list. nginx has no way to write a plain `$`, so neither has this.
//!
//! Failures: nginx's texts, worded without place; the caller adds it.

mod var;

pub use var::Var;
pub(super) use var::{is_own, is_own_of_stream};

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// A variable, looked up for each request.
    Var(Var),
}

/// A value: its parts one after another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// The parts in order.
    pub parts: Vec<Part>,
}

impl Template {
    /// Plain text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self {
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// The text, if there is no variable in it.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// The names of the variables that a file makes, by place.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// The place of a name, made if it has none yet.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let name = name.to_ascii_lowercase();
        self.find(&name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }

    /// The place of a name, lower case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|other| other == name)
    }

    /// All names, in order.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

/// Reads a value; `names` are the variables that the file makes, wherever they stand in it.
pub(super) fn parse(text: &str, names: &Names) -> Result<Template, String> {
    parse_any(text, names, Var::is_in_http)
}

/// Reads a value of the `stream` block, which has variables of its own and not those of requests.
pub(super) fn parse_stream(text: &str, names: &Names) -> Result<Template, String> {
    parse_any(text, names, Var::is_in_stream)
}

fn parse_any(
    text: &str,
    names: &Names,
    is_here: impl Fn(&Var) -> bool,
) -> Result<Template, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (plain, after) = rest.split_at(at);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.to_owned()));
        }
        let after = after.get(1..).unwrap_or_default();
        if let Some(digit @ b'1'..=b'9') = after.as_bytes().first() {
            parts.push(Part::Var(Var::Capture(digit - b'0')));
            rest = after.get(1..).unwrap_or_default();
            continue;
        }
        let (name, tail) = match after.strip_prefix('{') {
            Some(inner) => {
                let name = leading_name(inner);
                let tail = inner
                    .get(name.len()..)
                    .unwrap_or_default()
                    .strip_prefix('}');
                let Some(tail) = tail else {
                    return Err(format!(
                        "the closing bracket in \"{name}\" variable is missing"
                    ));
                };
                (name, tail)
            }
            None => {
                let name = leading_name(after);
                (name, after.get(name.len()..).unwrap_or_default())
            }
        };
        if name.is_empty() {
            return Err("invalid variable name".to_owned());
        }
        let var = var::variable(name, names)?;
        if !is_here(&var) {
            return Err(format!("unknown \"{name}\" variable"));
        }
        parts.push(Part::Var(var));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Template { parts })
}

fn leading_name(text: &str) -> &str {
    let length = text
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    text.get(..length).unwrap_or_default()
}
