//! Markdown as a page shows it. What people and assistants write is hostile input: Markdown becomes HTML, and of the HTML
//! only what carries text stays.

use std::collections::HashSet;

use ammonia::Builder;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// Elements that carry text. No images: loading one tells its owner who reads.
const ELEMENTS: [&str; 25] = [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
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
];

/// HTML that is safe to stand in a page of ours. Its headings begin at the second level: the page has the first.
pub(super) fn to_html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    // Images are named by their texts, and HTML of the author's own is shown as it was typed.
    let events = Parser::new_ext(markdown, options).filter_map(|event| match event {
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Heading {
            level,
            id,
            classes,
            attrs,
        }) => Some(Event::Start(Tag::Heading {
            level: lower(level),
            id,
            classes,
            attrs,
        })),
        Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(lower(level)))),
        event => Some(event),
    });
    let mut written = String::new();
    html::push_html(&mut written, events);
    Builder::empty()
        .tags(HashSet::from(ELEMENTS))
        .add_tag_attributes("a", ["href"])
        .add_tag_attributes("ol", ["start"])
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .clean(&written)
        .to_string()
}

fn lower(level: pulldown_cmark::HeadingLevel) -> pulldown_cmark::HeadingLevel {
    use pulldown_cmark::HeadingLevel::{H2, H3, H4, H5, H6};
    match level as usize {
        1 => H2,
        2 => H3,
        3 => H4,
        4 => H5,
        _ => H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_its_shape_and_nothing_else_stays() {
        let shown = to_html(
            "# Refunds\n\nA *refund* takes [five](https://shop.example/five) days.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        );
        assert!(shown.contains("<h2>Refunds</h2>"), "{shown}");
        assert!(
            shown.contains(
                r#"<a href="https://shop.example/five" rel="noopener noreferrer nofollow">five</a>"#
            ),
            "{shown}"
        );
        assert!(
            shown.contains("<em>refund</em>") && shown.contains("<td>1</td>"),
            "{shown}"
        );
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
            let shown = to_html(hostile);
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
