//! The comparison as a page, in the manner of the report's.

use super::comparison::Comparison;
use crate::document::{Document, Text};

const DOCUMENT: Document = Document {
    template: include_str!("page/page.html"),
    table: include_str!("../http/page/table.html"),
    style: concat!(include_str!("../http/page/page.css"), include_str!("page/page.css")),
    script: concat!(
        include_str!("../http/page/values.js"),
        include_str!("../http/page/forest.js"),
        include_str!("../http/page/strips.js"),
        include_str!("../http/page/resources.js"),
        include_str!("../http/page/arrangement.js"),
        include_str!("page/page.js"),
    ),
};

impl Comparison {
    /// One file that needs no server.
    pub(super) fn page(&self) -> serde_json::Result<String> {
        // For who has no script.
        let account = format!("<pre>{}</pre>", Text(&self.table()));
        DOCUMENT.page(self, &account, false)
    }
}

#[cfg(test)]
mod tests;
