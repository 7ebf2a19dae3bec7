//! Tables for other documents: Markdown and LaTeX.

use super::grid::Grid;

impl Grid {
    /// A Markdown table under its title; columns of numbers are right-aligned.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = cells.iter().map(|cell| markdown_text(cell.trim()));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = (0..self.header.len()).map(|column| if self.is_numeric(column) { "---:" } else { "---" });
        let rule = rule.collect::<Vec<_>>().join(" | ");
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("**{}**\n\n{}| {rule} |\n{rows}", markdown_text(&self.title), line(&self.header))
    }

    /// A LaTeX table with its title as caption; it needs the package `booktabs`.
    pub fn latex(&self) -> String {
        let line = |cells: &[String]| {
            let cells = cells.iter().map(|cell| latex_text(cell.trim()));
            format!("{} \\\\\n", cells.collect::<Vec<_>>().join(" & "))
        };
        let columns: String =
            (0..self.header.len()).map(|column| if self.is_numeric(column) { 'r' } else { 'l' }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{}\\midrule\n\
             {rows}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n",
            latex_text(&self.title),
            line(&self.header)
        )
    }

    /// Whether a column holds numbers, intervals and gaps alone.
    fn is_numeric(&self, column: usize) -> bool {
        let number = |cell: &str| cell.split(" .. ").all(|part| part == "-" || part.parse::<f64>().is_ok());
        !self.rows.is_empty() && self.rows.iter().all(|row| row.get(column).is_none_or(|cell| number(cell.trim())))
    }
}

/// Text with Markdown's special characters escaped.
fn markdown_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]<>|~".contains(c) {
            safe.push('\\');
        }
        safe.push(if c.is_control() { ' ' } else { c });
    }
    safe
}

/// Text with LaTeX's special characters escaped; a hyphen before a number becomes a minus sign.
fn latex_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let digit_follows = chars.peek().is_some_and(char::is_ascii_digit);
        match c {
            '-' if before == ' ' && digit_follows => safe.push_str("$-$"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => safe.extend(['\\', c]),
            '\\' => safe.push_str("\\textbackslash{}"),
            '~' => safe.push_str("\\textasciitilde{}"),
            '^' => safe.push_str("\\textasciicircum{}"),
            '<' | '>' => safe.extend(['$', c, '$']),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
        before = c;
    }
    safe.replace(" .. ", " to ")
}
