//! nginx's command line, read as nginx reads it: letters may stand together, and a value may stand
//! in the same word or be the next.
//!
//! Why by hand: scripts, systemd units and certbot call it in nginx's ways, and read its complaints.

use std::ffi::OsString;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) help: bool,
    /// `-v`, `-V` and `-h`
    pub(super) version: bool,
    /// `-V`
    pub(super) configure: bool,
    /// `-t` and `-T`
    pub(super) test: bool,
    /// `-T`
    pub(super) dump: bool,
    pub(super) quiet: bool,
    pub(super) prefix: Option<String>,
    pub(super) error_log: Option<String>,
    pub(super) file: Option<String>,
    pub(super) globals: Option<String>,
    pub(super) signal: Option<Order>,
}

/// `-s`: what the running process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Stop,
    Quit,
    Reopen,
    Reload,
}

/// The arguments of a process that was called as nginx, or told to be it (`weir nginx …`); without
/// the words that said so.
pub(crate) fn asked(all: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut all = all.into_iter();
    let name = all.next()?;
    let called = std::path::Path::new(&name)
        .file_name()
        .is_some_and(|name| name == "nginx");
    if called {
        return Some(all.collect());
    }
    (all.next()? == "nginx").then(|| all.collect())
}

/// Reads the words.
///
/// # Errors
/// nginx's complaint.
pub(super) fn parse(words: Vec<OsString>) -> Result<Args, String> {
    let mut args = Args::default();
    let mut words = words.into_iter().map(|word| {
        word.into_string()
            .map_err(|word| format!("invalid option: \"{}\"", word.to_string_lossy()))
    });
    while let Some(word) = words.next().transpose()? {
        let Some(mut letters) = word.strip_prefix('-') else {
            return Err(format!("invalid option: \"{word}\""));
        };
        while let Some(letter) = letters.chars().next() {
            letters = letters.get(letter.len_utf8()..).unwrap_or_default();
            if args.switch(letter) {
                continue;
            }
            let wants = match letter {
                'p' => "directory name",
                'e' | 'c' => "file name",
                'g' | 's' => "parameter",
                _ => return Err(format!("invalid option: \"{letter}\"")),
            };
            let value = if letters.is_empty() {
                words.next().transpose()?
            } else {
                Some(letters.to_owned())
            };
            let missing = || format!("option \"-{letter}\" requires {wants}");
            args.value(
                letter,
                value.filter(|it| !it.is_empty()).ok_or_else(missing)?,
            )?;
            break;
        }
    }
    Ok(args)
}

impl Args {
    /// A letter without a value. Says whether it was one.
    fn switch(&mut self, letter: char) -> bool {
        match letter {
            '?' | 'h' => (self.help, self.version) = (true, true),
            'v' => self.version = true,
            'V' => (self.version, self.configure) = (true, true),
            't' => self.test = true,
            'T' => (self.test, self.dump) = (true, true),
            'q' => self.quiet = true,
            _ => return false,
        }
        true
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), String> {
        match letter {
            'p' => self.prefix = Some(value),
            'e' => self.error_log = Some(value),
            'c' => self.file = Some(value),
            'g' => self.globals = Some(value),
            _ => {
                self.signal = Some(match value.as_str() {
                    "stop" => Order::Stop,
                    "quit" => Order::Quit,
                    "reopen" => Order::Reopen,
                    "reload" => Order::Reload,
                    other => return Err(format!("invalid option: \"-s {other}\"")),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        parse(line.split('|').map(OsString::from).collect())
    }

    #[test]
    fn letters_stand_together_and_values_where_they_like() {
        let args = read("-tqc|a.conf|-p/x/|-g|pid b; daemon off;|-e|stderr").unwrap();
        assert!(args.test && args.quiet && !args.dump && !args.version);
        assert_eq!(args.file.as_deref(), Some("a.conf"));
        assert_eq!(args.prefix.as_deref(), Some("/x/"));
        assert_eq!(args.globals.as_deref(), Some("pid b; daemon off;"));
        assert_eq!(args.error_log.as_deref(), Some("stderr"));
        assert_eq!(read("-sreload").unwrap().signal, Some(Order::Reload));
        assert!(read("-V").unwrap().configure && read("-?").unwrap().help);
    }

    #[test]
    fn complaints_are_nginxs() {
        for (line, wanted) in [
            ("-s|foo", "invalid option: \"-s foo\""),
            ("-x", "invalid option: \"x\""),
            ("foo", "invalid option: \"foo\""),
            ("-c", "option \"-c\" requires file name"),
            ("-p", "option \"-p\" requires directory name"),
            ("-tg", "option \"-g\" requires parameter"),
        ] {
            assert_eq!(read(line).unwrap_err(), wanted);
        }
    }

    #[test]
    fn a_process_is_nginx_by_its_name_or_its_first_word() {
        let asked = |line: &str| asked(line.split(' ').map(OsString::from));
        assert_eq!(asked("/usr/sbin/nginx -t").unwrap(), ["-t"]);
        assert_eq!(asked("weir nginx -t").unwrap(), ["-t"]);
        assert!(asked("weir lb -t").is_none() && asked("weir").is_none());
    }
}
