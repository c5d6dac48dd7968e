//! JUnit XML, which build servers read. The format has no standard; this is
//! what Jenkins, GitLab and GitHub's actions agree on.

use std::io::Write;

/// One test.
pub(super) struct Case {
    /// The file.
    pub(super) class: String,
    /// What is tested.
    pub(super) name: String,
    /// Where it stands in the file, from 1.
    pub(super) line: usize,
    /// What is wrong; nothing when it passes.
    pub(super) failures: Vec<String>,
}

/// Writes a suite.
pub(super) fn write(suite: &str, cases: &[Case], out: &mut impl Write) -> std::io::Result<()> {
    let failed = cases.iter().filter(|case| !case.failures.is_empty()).count();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\"", cases.len());
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites {counts}>")?;
    writeln!(out, "  <testsuite name=\"{}\" {counts} skipped=\"0\">", escaped(suite))?;
    for case in cases {
        let (class, name) = (escaped(&case.class), escaped(&case.name));
        let case_head =
            format!("    <testcase classname=\"{class}\" name=\"{name}\" file=\"{class}\" line=\"{}\"", case.line);
        if case.failures.is_empty() {
            writeln!(out, "{case_head}/>")?;
            continue;
        }
        writeln!(out, "{case_head}>")?;
        for failure in &case.failures {
            let failure = escaped(failure);
            writeln!(out, "      <failure message=\"{failure}\">{failure}</failure>")?;
        }
        writeln!(out, "    </testcase>")?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

/// What XML 1.0 cannot hold becomes the replacement character.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            _ if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            _ => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_an_attribute_is_escaped() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1b}"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}");
    }
}
