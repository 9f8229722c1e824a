//! The text of a scenario file, and where in it a key stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A parsed file that can be asked for the line of a key.
pub(super) struct Source<'t> {
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Source<'t> {
    /// Parses as much as can be parsed: a file with a syntax error still has most of its keys.
    pub(super) fn new(text: &'t str) -> Self {
        let (root, _) = DeTable::parse_recoverable(text);
        Source {
            text,
            root: root.into_inner(),
        }
    }

    /// The line of a key such as `size.full.requests` or `tutorial.claims[0].row`, counted from 1.
    /// A key that is not in the file has the line of the nearest table around it.
    pub(super) fn line_of(&self, key: &str) -> usize {
        let mut line = 1;
        let mut table = Some(&self.root);
        for part in key.split('.') {
            let (name, index) = split_index(part);
            let Some((found, value)) =
                table.and_then(|t| t.iter().find(|(k, _)| k.get_ref().as_ref() == name))
            else {
                break;
            };
            line = self.line_at(found.span().start);
            let mut value = value;
            if let Some(index) = index {
                match value
                    .get_ref()
                    .as_array()
                    .and_then(|array| array.get(index))
                {
                    Some(element) => value = element,
                    None => break,
                }
                line = self.line_at(value.span().start);
            }
            table = value.get_ref().as_table();
        }
        line
    }

    /// Whether a key such as `load.held.kind`, not of an array, is in the file.
    pub(super) fn has(&self, key: &str) -> bool {
        let mut table = Some(&self.root);
        key.split('.').all(|name| {
            let found = table.and_then(|t| t.iter().find(|(k, _)| k.get_ref().as_ref() == name));
            table = found.and_then(|(_, value)| value.get_ref().as_table());
            found.is_some()
        })
    }

    /// The line of a byte offset, counted from 1.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    /// The key that a byte offset belongs to: its own, or the innermost table or array around it.
    /// Where bad syntax has no place in any table, the key as it is written on the same line.
    /// `None` when there is neither.
    pub(super) fn key_at(&self, offset: usize) -> Option<String> {
        let mut path = Vec::new();
        if find_in_table(&self.root, offset, &mut path) {
            return Some(path.join("."));
        }
        let line = self.text.lines().nth(self.line_at(offset) - 1)?;
        let key = line.split_once('=')?.0.trim();
        let bare = |ch: char| ch.is_ascii_alphanumeric() || "_-.".contains(ch);
        (!key.is_empty() && key.chars().all(bare)).then(|| key.to_owned())
    }
}

fn split_index(part: &str) -> (&str, Option<usize>) {
    let Some((name, rest)) = part.split_once('[') else {
        return (part, None);
    };
    (name, rest.trim_end_matches(']').parse().ok())
}

fn find_in_table(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    for (key, value) in table.iter() {
        path.push(key.get_ref().to_string());
        if find_in_value(value, offset, path) || contains(&key.span(), offset) {
            return true;
        }
        path.pop();
    }
    false
}

fn find_in_value(value: &Spanned<DeValue<'_>>, offset: usize, path: &mut Vec<String>) -> bool {
    match value.get_ref() {
        DeValue::Table(table) if find_in_table(table, offset, path) => true,
        DeValue::Array(array) => {
            let Some(name) = path.pop() else { return false };
            for (index, element) in array.iter().enumerate() {
                path.push(format!("{name}[{index}]"));
                if find_in_value(element, offset, path) {
                    return true;
                }
                path.pop();
            }
            path.push(name);
            contains(&value.span(), offset)
        }
        _ => contains(&value.span(), offset),
    }
}

fn contains(span: &Range<usize>, offset: usize) -> bool {
    span.contains(&offset) || (span.start == offset && !span.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "a = 1\n\n[b]\nc = 2\nd.e = 3\n\n[[f]]\ng = 4\n\n[[f]]\ng = 5\nh = [1,\n 2]\n";

    #[test]
    fn keys_are_found_in_tables_dotted_keys_and_arrays() {
        let source = Source::new(TEXT);
        for (key, line) in [
            ("a", 1),
            ("b", 3),
            ("b.c", 4),
            ("b.d.e", 5),
            ("f[0].g", 8),
            ("f[1].g", 11),
            ("f[1].h[1]", 13),
        ] {
            assert_eq!(source.line_of(key), line, "{key}");
        }
    }

    #[test]
    fn a_missing_key_has_the_line_of_the_table_around_it() {
        let source = Source::new(TEXT);
        assert_eq!(source.line_of("b.missing"), 3);
        assert_eq!(source.line_of("f[1].missing"), 10);
        assert_eq!(source.line_of("missing"), 1);
    }

    #[test]
    fn an_offset_leads_back_to_its_key() {
        let source = Source::new(TEXT);
        for (needle, key) in [
            ("1\n", "a"),
            ("c = 2", "b.c"),
            ("3\n", "b.d.e"),
            ("g = 5", "f[1].g"),
            ("2]", "f[1].h[1]"),
        ] {
            let offset = TEXT.find(needle).unwrap();
            assert_eq!(source.key_at(offset).as_deref(), Some(key), "{needle:?}");
        }
    }
}
