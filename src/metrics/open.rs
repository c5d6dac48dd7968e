//! OpenMetrics 1.0, as made of Prometheus' text format.
//!
//! The two differ in little: a family of counters is named without `_total`, which
//! only its samples carry, and the text says where it ends. One table of metrics
//! thus serves both.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>

/// The same metrics in OpenMetrics.
pub(super) fn open_metrics(text: &str) -> String {
    let mut open = String::with_capacity(text.len() + END.len());
    // HELP comes before TYPE, and says nothing of the type: it waits.
    let mut help: Option<&str> = None;
    for line in text.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
            let family = if kind == "counter" { name.strip_suffix("_total").unwrap_or(name) } else { name };
            if let Some((_, words)) = help.take().and_then(|line| line["# HELP ".len()..].split_once(' ')) {
                open.extend(["# HELP ", family, " ", words, "\n"]);
            }
            open.extend(["# TYPE ", family, " ", kind, "\n"]);
            continue;
        }
        if !line.is_empty() {
            open.extend([line, "\n"]);
        }
    }
    open.push_str(END);
    open
}

const END: &str = "# EOF\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_counters_lose_their_total_and_samples_keep_it() {
        let text = "# HELP a_total What it is.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
                    # HELP d_bytes Bytes.\n# TYPE d_bytes gauge\nd_bytes 2\n";
        let open = "# HELP a What it is.\n# TYPE a counter\na_total{b=\"c\"} 1\n\
                    # HELP d_bytes Bytes.\n# TYPE d_bytes gauge\nd_bytes 2\n# EOF\n";
        assert_eq!(open_metrics(text), open);
    }

    #[test]
    fn a_gauge_whose_name_ends_so_keeps_it_and_nothing_is_a_whole_text_too() {
        let text = "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n";
        assert_eq!(open_metrics(text), format!("{text}# EOF\n"));
        assert_eq!(open_metrics(""), "# EOF\n");
    }

    #[test]
    fn label_values_are_left_alone() {
        let text = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"# TYPE x_total counter\"} 1\n";
        assert!(open_metrics(text).contains("a_total{b=\"# TYPE x_total counter\"} 1\n"));
    }
}
