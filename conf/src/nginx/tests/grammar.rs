//! The tokenizer and the tree: nginx's quoting, in the odd forms met in the wild.

use std::path::Path;

use crate::nginx::parse::{self, Directive, Limits};

fn tree(text: &str) -> Vec<Directive> {
    parse::parse_text(
        text.as_bytes(),
        "t.conf",
        Path::new(""),
        &Limits::default(),
        &parse::any,
    )
    .unwrap()
    .directives
}

fn words(text: &str) -> Vec<String> {
    let tree = tree(text);
    let directive = tree.first().unwrap();
    std::iter::once(directive.name.clone())
        .chain(directive.args.iter().map(|token| token.text.clone()))
        .collect()
}

#[test]
fn words_part_at_white_space_semicolon_and_brace() {
    assert_eq!(words("a b\tc\r\nd;"), ["a", "b", "c", "d"]);
    let tree = tree("a b{c d;}e;");
    assert_eq!(tree.len(), 2);
    assert_eq!(tree[0].children()[0].args[0].text, "d");
    assert_eq!(tree[1].name, "e");
}

#[test]
fn quotes_only_open_at_the_start_of_a_word() {
    assert_eq!(
        words(r#"a "b c" 'd;{}' e"f g'h;"#),
        ["a", "b c", "d;{}", "e\"f", "g'h"]
    );
    assert_eq!(words(r#"a "" '';"#), ["a", "", ""]);
    assert_eq!(
        words("log '$a \"$b\"' \"it's\";"),
        ["log", "$a \"$b\"", "it's"]
    );
}

#[test]
fn escapes_are_nginxs_six_and_no_more() {
    assert_eq!(
        words(r#"a "q\"q" 's\'s' b\\b t\tt n\nn d\.d x\;y;"#),
        ["a", "q\"q", "s's", "b\\b", "t\tt", "n\nn", r"d\.d", r"x\;y"]
    );
    assert_eq!(words(r"a b\ c;"), ["a", r"b\ c"]);
    assert_eq!(words(r"location ~ \.php$ ;"), ["location", "~", r"\.php$"]);
}

#[test]
fn a_braced_variable_does_not_open_a_block() {
    assert_eq!(words("a ${b}c;"), ["a", "${b}c"]);
    assert_eq!(words("a x${b}${c};"), ["a", "x${b}${c}"]);
    // Only right after the dollar sign.
    assert_eq!(tree("a $b{c;}")[0].args[0].text, "$b");
}

#[test]
fn regular_expressions_of_the_corpus_stay_whole() {
    let text = r#"location ~ ^/(?<name>[a-z]+)/(?P<rest>.*)$ { return 200; }
        location ~* "^/x{1,3}/\d+$" { return 200; }"#;
    let tree = tree(text);
    assert_eq!(tree[0].args[1].text, "^/(?<name>[a-z]+)/(?P<rest>.*)$");
    assert_eq!(tree[1].args[1].text, r"^/x{1,3}/\d+$");
}

#[test]
fn comments_run_to_the_end_of_the_line_where_a_word_could_start() {
    assert_eq!(words("a # ; } {\n b;"), ["a", "b"]);
    assert_eq!(words("a b#c;"), ["a", "b#c"]);
    assert!(tree("# only ; a comment").is_empty());
    assert!(tree("").is_empty());
}

#[test]
fn text_may_be_any_utf8() {
    assert_eq!(words("map_entry £££ 'Жук';"), ["map_entry", "£££", "Жук"]);
}

#[test]
fn if_conditions_and_a_bracket_after_a_quote() {
    assert_eq!(words(r#"if ($a = "b") { }"#), ["if", "($a", "=", "b", ")"]);
    assert_eq!(words("if ($http_user_agent ~* (a|b)) { }").len(), 4);
}

#[test]
fn lines_are_those_of_the_name_and_of_the_end() {
    let tree = tree("\n\na\n  'two\nlines'\n;\nb;");
    assert_eq!(
        (tree[0].start.line, tree[0].pos.line, tree[0].args[0].line),
        (3, 6, 4)
    );
    assert_eq!(tree[1].pos.line, 7);
    assert_eq!(tree[1].pos.to_string(), "t.conf:7");
}

#[test]
fn blocks_nest_to_the_limit() {
    let deep = |n: usize| format!("{}{}", "a {".repeat(n), "}".repeat(n));
    let parse = |text: &str| {
        let limits = Limits::default();
        parse::parse_text(text.as_bytes(), "t", Path::new(""), &limits, &parse::any)
    };
    assert!(parse(&deep(32)).is_ok());
    let error = parse(&deep(33)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[emerg] blocks are nested too deep in t:1"
    );
}
