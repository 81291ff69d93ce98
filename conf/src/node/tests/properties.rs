//! The file's syntax, against what Java's `Properties.load` makes of the same text.

use crate::node::properties::{Entry, FILE_BYTES_MAX, parse};
use crate::node::{NodeConfig, read_file};
use proptest::prelude::*;
use std::path::Path;

fn entry(key: &str, value: &str, line: u32) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.to_owned(),
        line,
    }
}

/// Compared by fields, for `Debug` leaves values out.
fn assert_parses(bytes: &[u8], expected: &[(&str, &str, u32)]) {
    let (entries, errors) = parse(bytes);
    assert_eq!(errors, []);
    let expected: Vec<_> = expected.iter().map(|(k, v, l)| entry(k, v, *l)).collect();
    let values: Vec<_> = entries.iter().map(|e| &e.value).collect();
    assert!(entries == expected, "{entries:?} {values:?}");
}

#[test]
fn separators_and_white_space() {
    let text = b"a=1\n b : 2\nc 3\nd\te\n  f  =  g h \n= in value\\==x\n";
    let (entries, errors) = parse(text);
    assert_eq!(errors.len(), 1, "a line that starts with '=' has no key");
    assert_eq!(entries.len(), 5);
    assert_parses(
        b"a=1\n b : 2\nc 3\nd\te\n  f  =  g h \nk=v=w:x\nempty=\nbare\n",
        &[
            ("a", "1", 1),
            ("b", "2", 2),
            ("c", "3", 3),
            ("d", "e", 4),
            ("f", "g h ", 5),
            ("k", "v=w:x", 6),
            ("empty", "", 7),
            ("bare", "", 8),
        ],
    );
}

#[test]
fn comments_and_line_ends() {
    assert_parses(
        b"# a\\\nx=1\r\n! b\ry=2\n\n  # c\nz=3#no comment",
        &[("x", "1", 2), ("y", "2", 4), ("z", "3#no comment", 7)],
    );
}

#[test]
fn continuations_keep_the_first_line_s_number() {
    assert_parses(
        b"a=1,\\\n   2,\\\r\n\t3\nb=x\\\\\nc=y\\\n# part of c\nd=4\\",
        &[
            ("a", "1,2,3", 1),
            ("b", "x\\", 4),
            ("c", "y# part of c", 5),
            ("d", "4", 7),
        ],
    );
}

#[test]
fn a_lone_backslash_starts_nothing() {
    assert_parses(b"\\\n# c\n \\\n\nb=2\n", &[("b", "2", 5)]);
}

#[test]
fn escapes() {
    assert_parses(
        br"a\ b\:c\=d=\t\n\r\f\q\\\u0041\u00e9\uD83D\uDE00",
        &[("a b:c=d", "\t\n\r\x0Cq\\A\u{e9}\u{1F600}", 1)],
    );
}

#[test]
fn bad_escapes_name_their_line_and_the_rest_is_read() {
    let bad: [&[u8]; 6] = [
        br"a=\u12",
        br"a=\u12G4",
        br"a=\u+123",
        br"a=\uD83D",
        br"a=\uD83Dx",
        br"a=\uDE00\uD83D",
    ];
    for line in bad {
        let text = [b"x=1\n", line, b"\ny=2\n"].concat();
        let (entries, errors) = parse(&text);
        assert_eq!(errors.len(), 1, "{line:?}");
        assert_eq!(errors[0].line, 2);
        assert_eq!(entries.len(), 2);
    }
}

#[test]
fn utf8_with_or_without_a_mark_else_latin1() {
    assert_parses("\u{FEFF}a=é\u{4e2d}".as_bytes(), &[("a", "é\u{4e2d}", 1)]);
    assert_parses(b"a=\xE9", &[("a", "é", 1)]);
    let (entries, errors) = parse(
        "a=1"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>()
            .as_slice(),
    );
    assert!(entries.is_empty());
    assert_eq!(errors[0].line, 0);
    assert!(errors[0].reason.contains("expected text in UTF-8"));
}

#[test]
fn files_have_a_largest_size() {
    let fits = vec![b'\n'; FILE_BYTES_MAX];
    assert_eq!(parse(&fits).1, []);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big.properties");
    std::fs::write(&file, vec![b'\n'; FILE_BYTES_MAX + 10]).unwrap();
    let errors = NodeConfig::load(Some(&file), None, [], read_file).unwrap_err();
    let expected = format!(
        "{}: is longer than 1 MiB, the most a properties file may have",
        file.display()
    );
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_one_clear_line() {
    let errors = NodeConfig::load(Some(Path::new("no/such.properties")), None, [], read_file);
    let text = errors.unwrap_err().to_string();
    assert_eq!(
        text,
        "no/such.properties: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn errors_are_bounded_and_the_rest_counted() {
    let text = "nonsense=1\n".repeat(250);
    let errors = super::errors(&text);
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100], "150 more errors are not shown");
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let read = |_: &Path| Ok(bytes.clone());
        // Right or wrong does not matter here; that both come back as values does.
        let _outcome = NodeConfig::load(Some(Path::new("x")), None, [], read);
    }

    /// Denser in what the syntax and the table know than random bytes are.
    #[test]
    fn lines_near_the_syntax_never_panic(
        text in r"((hls|app|db|rtmp|LiveApp|time|host|\.|_|=|:| |#|!|\\|\\u[0-9a-fD]{0,4}|\r|\n|[0-9]{1,22}|unix|[\[\]@/,-]|é)){0,80}"
    ) {
        let read = |_: &Path| Ok(text.clone().into_bytes());
        let _outcome = NodeConfig::load(Some(Path::new("x")), None, [], read);
    }

    /// Writing a pair with every character escaped, and reading it, gives the pair.
    #[test]
    fn escaped_pairs_come_back(key in "\\PC{1,20}", value in "\\PC{0,40}") {
        let escape = |text: &str| -> String {
            text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
        };
        let line = format!("{}={}", escape(&key), escape(&value));
        let (entries, errors) = parse(line.as_bytes());
        prop_assert!(errors.is_empty());
        prop_assert_eq!(&entries[0].key, &key);
        prop_assert_eq!(&entries[0].value, &value);
    }

    /// Values that hold no syntax come back as they are, whatever stands around them.
    #[test]
    fn plain_values_come_back(value in "[a-zA-Z0-9.,/=:#!é-]{1,40}", before in 0_usize..50) {
        let text = format!("{}key = {value}", "# c\n".repeat(before));
        let (entries, _) = parse(text.as_bytes());
        let value = value.trim_start_matches(' ');
        prop_assert_eq!(entries[0].value.as_str(), value);
        prop_assert_eq!(usize::try_from(entries[0].line).unwrap(), before + 1);
    }
}
