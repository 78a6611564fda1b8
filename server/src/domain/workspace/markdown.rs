//! Markdown as HTML, for pages and for mails. What people and assistants write is hostile input: HTML of the author's own is
//! shown as it was typed, and of the HTML that comes of the Markdown only what carries text stays. Nothing is loaded from
//! elsewhere, and links lead to the web or to a mail address.

use std::collections::HashSet;

use ammonia::Builder;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html::push_html};

/// Elements that carry text. No images: loading one tells its owner who reads.
const ELEMENTS: [&str; 27] = [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// HTML that is safe to stand in a page of ours. Its headings begin at the second level: the page has the first.
pub fn page_html(markdown: &str) -> String {
    let events = parsed(markdown).map(|event| match event {
        Event::Start(Tag::Heading {
            level,
            id,
            classes,
            attrs,
        }) => Event::Start(Tag::Heading {
            level: lower(level),
            id,
            classes,
            attrs,
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        event => event,
    });
    written(events, Some("noopener noreferrer nofollow"))
}

/// HTML for a mail beside its plain text.
pub(crate) fn mail_html(markdown: &str) -> String {
    let events = parsed(markdown).map(|event| match event {
        // People press return where they want a new line.
        Event::SoftBreak => Event::HardBreak,
        event => event,
    });
    written(events, None)
}

fn parsed(markdown: &str) -> impl Iterator<Item = Event<'_>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    Parser::new_ext(markdown, options).filter_map(|event| match event {
        // An image would tell its server who reads: its description stays.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        event => Some(event),
    })
}

fn written<'m>(events: impl Iterator<Item = Event<'m>>, link_rel: Option<&str>) -> String {
    let mut html = String::new();
    push_html(&mut html, events);
    Builder::empty()
        .tags(HashSet::from(ELEMENTS))
        .add_tag_attributes("a", ["href"])
        .add_tag_attributes("ol", ["start"])
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(link_rel)
        .clean(&html)
        .to_string()
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_keeps_its_shape() {
        let shown = page_html(
            "# Refunds\n\nA *refund* takes [five](https://shop.example/five) days.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        );
        for part in [
            "<h2>Refunds</h2>",
            r#"<a href="https://shop.example/five" rel="noopener noreferrer nofollow">five</a>"#,
            "<em>refund</em>",
            "<td>1</td>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        for (markdown, shown) in [
            ("Try **this**.", "<p>Try <strong>this</strong>.</p>\n"),
            ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
            ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
            (
                "[us](https://acme.test/a?b&c)",
                "<p><a href=\"https://acme.test/a?b&amp;c\">us</a></p>\n",
            ),
            ("[x](javascript:alert(1))", "<p><a>x</a></p>\n"),
            ("![a pixel](https://spy.test/p.gif)", "<p>a pixel</p>\n"),
            (
                "a <script>alert(1)</script>",
                "<p>a &lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
            ),
            ("<div onclick=\"x\">", "&lt;div onclick=\"x\"&gt;"),
        ] {
            assert_eq!(mail_html(markdown), shown, "{markdown}");
        }
    }

    #[test]
    fn nothing_but_text_stays() {
        for hostile in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "![x](https://evil.example/pixel.png)",
            "[x](javascript:alert(1))",
            "[x](data:text/html,hi)",
            "[x](/console/sign-out)",
            "<a href=\"https://x\" onclick=\"alert(1)\" style=\"position:fixed\">x</a>",
            "<iframe src=https://evil.example></iframe>",
            "```\n</code></pre><script>alert(1)</script>\n```",
            "<form action=/console><input name=form></form>",
        ] {
            for shown in [page_html(hostile), mail_html(hostile)] {
                for part in [
                    "<script",
                    "<img",
                    "href=\"javascript",
                    "href=\"data",
                    "href=\"/",
                    "<iframe",
                    "<form",
                ] {
                    assert!(!shown.contains(part), "{hostile}: {shown}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_brings_markup_of_its_own(text in ".{0,200}", tag in "[a-z]{1,8}") {
            let markdown = format!("{text}\n\n<{tag} onload=x src=y>\n\n{text}");
            for shown in [page_html(&markdown), mail_html(&markdown)] {
                let shown = shown.to_lowercase();
                for bad in ["<script", "<img", "<iframe", "onload=x src=y>", "href=\"javascript"] {
                    prop_assert!(!shown.contains(bad), "{}", shown);
                }
            }
        }
    }
}
