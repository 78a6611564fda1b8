//! Markdown as HTML for a mail beside its plain text. Whoever wrote it is not trusted with markup of their own: HTML in it is
//! shown as text, nothing is loaded from elsewhere, and links lead to the web or to a mail address.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html::push_html};

/// What links may begin with.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// The HTML of a Markdown text.
pub(crate) fn html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(markdown, options).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        // An image would tell its server who reads: its description stays.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let known = dest_url.to_lowercase();
            let leads = SCHEMES.iter().any(|scheme| known.starts_with(scheme));
            let dest_url = if leads { dest_url } else { "".into() };
            Some(Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }))
        }
        // People press return where they want a new line.
        Event::SoftBreak => Some(Event::HardBreak),
        other => Some(other),
    });
    let mut out = String::with_capacity(markdown.len() * 3 / 2);
    push_html(&mut out, events);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_becomes_html_and_html_becomes_text() {
        for (markdown, shown) in [
            ("Try **this**.", "<p>Try <strong>this</strong>.</p>\n"),
            ("one\ntwo", "<p>one<br />\ntwo</p>\n"),
            ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
            (
                "[us](https://acme.test/a?b&c)",
                "<p><a href=\"https://acme.test/a?b&amp;c\">us</a></p>\n",
            ),
            ("[x](javascript:alert(1))", "<p><a href=\"\">x</a></p>\n"),
            ("![a pixel](https://spy.test/p.gif)", "<p>a pixel</p>\n"),
            (
                "a <script>alert(1)</script>",
                "<p>a &lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
            ),
            ("<div onclick=\"x\">", "&lt;div onclick=\"x\"&gt;"),
        ] {
            assert_eq!(html(markdown), shown, "{markdown}");
        }
    }

    proptest! {
        #[test]
        fn no_text_brings_markup_of_its_own(text in ".{0,200}", tag in "[a-z]{1,8}") {
            let shown = html(&format!("{text}\n\n<{tag} onload=x src=y>\n\n{text}")).to_lowercase();
            for bad in ["<script", "<img", "<iframe", "onload=x src=y>", "href=\"javascript"] {
                prop_assert!(!shown.contains(bad), "{}", shown);
            }
        }
    }
}
