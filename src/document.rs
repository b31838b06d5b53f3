//! A page in one file: its script draws the data that stand in it.
//!
//! Nothing is loaded from elsewhere, and the policy lets no other script or style in than these files, by
//! their hashes.

use std::fmt::{self, Display, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The files that a page is made of. The template names what it takes in `{{…}}`: `policy`, `style`,
/// `table`, `script`, `data`, and `account` for who has no script.
pub(crate) struct Document {
    pub template: &'static str,
    /// The table of query shapes, which the script fills.
    pub table: &'static str,
    pub style: &'static str,
    pub script: &'static str,
}

impl Document {
    /// What the browser may do: run this script, apply this style.
    pub(crate) fn policy(&self) -> String {
        let hash = |text| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
        format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; \
             form-action 'none'",
            hash(self.script),
            hash(self.style)
        )
    }

    /// The page with these data and, as HTML, this account. A page that is no server's answer says itself
    /// what the browser may do.
    pub(crate) fn page(
        &self,
        data: &impl Serialize,
        account: &str,
        is_served: bool,
    ) -> serde_json::Result<String> {
        // Only in strings of the JSON is there a `<`: neither `</script` nor `<!--` is left.
        let data = serde_json::to_string(data)?.replace('<', "\\u003c");
        let policy = match is_served {
            true => String::new(),
            false => format!(
                "<meta http-equiv=\"content-security-policy\" content=\"{}\">",
                self.policy()
            ),
        };
        let Self { mut template, table, style, script } = *self;
        let files = template.len() + table.len() + style.len() + script.len();
        let length = files + data.len() + account.len();
        let mut page = String::with_capacity(length);
        while let Some((before, (name, after))) =
            template.split_once("{{").and_then(|(before, it)| Some((before, it.split_once("}}")?)))
        {
            page.push_str(before);
            page.push_str(match name {
                "policy" => &policy,
                "style" => style,
                "table" => table,
                "script" => script,
                "data" => &data,
                _ => account,
            });
            template = after;
        }
        page.push_str(template);
        Ok(page)
    }
}

/// Text that stays text in HTML.
pub(crate) struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}
