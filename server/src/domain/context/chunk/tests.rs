use proptest::prelude::*;

use super::*;

fn sentences(count: usize) -> String {
    (0..count)
        .map(|n| format!("Sentence number {n} says something of middling length. "))
        .collect()
}

fn cut_md(text: &str) -> Vec<Chunk<'_>> {
    chunks(TextType::Markdown, text)
}

/// What must hold for every text of every type.
fn assert_sound(text_type: TextType, text: &str) {
    let chars: Vec<char> = text.chars().collect();
    let found = chunks(text_type, text);
    let mut covered = vec![false; chars.len()];
    for (at, chunk) in found.iter().enumerate() {
        assert_eq!(chunk.index as usize, at);
        let slice: String = chars[chunk.char_offset_start..chunk.char_offset_end]
            .iter()
            .collect();
        assert_eq!(slice, chunk.content, "offsets name the content");
        assert!(!chunk.content.trim().is_empty());
        let limit = if chunk.chunk_type == ChunkType::Code {
            MAX_CODE_TOKENS + TARGET_TOKENS
        } else {
            TARGET_TOKENS
        };
        let has_code =
            chunk.content.contains("```") || chunk.content.contains("~~~") || text_type == TextType::Rst;
        assert!(
            estimate_tokens(chunk.content) <= limit || has_code,
            "{} tokens",
            estimate_tokens(chunk.content)
        );
        covered[chunk.char_offset_start..chunk.char_offset_end].fill(true);
    }
    for pair in found.windows(2) {
        assert!(
            pair[0].char_offset_start < pair[1].char_offset_start,
            "chunks go forward"
        );
        assert!(
            pair[0].char_offset_end < pair[1].char_offset_end,
            "each brings something new"
        );
    }
    let lost: String = chars
        .iter()
        .zip(&covered)
        .filter(|(c, seen)| !**seen && !c.is_whitespace())
        .map(|(c, _)| c)
        .collect();
    assert_eq!(lost, "", "every word is in some chunk");
}

#[test]
fn a_short_note_is_one_chunk() {
    let text = "# Title\n\nÜber some text.\n\n## Part\n\nMore.\n";
    let found = cut_md(text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].content, text.trim_end());
    assert_eq!(
        (found[0].char_offset_start, found[0].char_offset_end),
        (0, text.trim_end().chars().count())
    );
    assert_eq!(found[0].heading, "Title");
}

#[test]
fn nothing_comes_of_nothing() {
    for text in ["", "\n\n  \n", &"\n".repeat(10_000), &" ".repeat(10_000)] {
        assert!(cut_md(text).is_empty());
    }
}

#[test]
fn sections_begin_chunks_and_name_them() {
    let text = format!(
        "# Book\n\n{0}\n\n## One\n\n{0}\n\n### Deep\n\n{0}\n\n## Two\n\n{0}\n",
        sentences(12)
    );
    let found = cut_md(&text);
    let seen: Vec<_> = found
        .iter()
        .map(|chunk| (chunk.content.lines().next().unwrap(), chunk.heading.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("# Book", "Book"),
            ("## One", "Book › One"),
            ("### Deep", "Book › One › Deep"),
            ("## Two", "Book › Two"),
        ]
    );
}

#[test]
fn a_long_section_overlaps_and_keeps_its_heading() {
    let text = format!("# Long\n\n{}", sentences(100));
    let found = cut_md(&text);
    assert!(found.len() >= 3);
    for pair in found.windows(2) {
        let overlap = pair[0].char_offset_end - pair[1].char_offset_start;
        assert!((1..=OVERLAP_BYTES).contains(&overlap), "{overlap}");
        assert!(
            pair[1].content.starts_with("Sentence number"),
            "begins at a sentence: {:?}",
            &pair[1].content[..30]
        );
        assert_eq!(pair[1].heading, "Long");
    }
}

#[test]
fn a_fence_is_never_cut_below_the_cap() {
    let code = (0..150)
        .map(|n| format!("let line_{n} = {n};\n"))
        .collect::<String>();
    let fence = format!("```rust\n{code}```");
    assert!(estimate_tokens(&fence) > TARGET_TOKENS && estimate_tokens(&fence) < MAX_CODE_TOKENS);
    let text = format!("# T\n\n{}\n\n{fence}\n\n{}\n", sentences(25), sentences(5));
    let found = cut_md(&text);
    let holding: Vec<_> = found
        .iter()
        .filter(|chunk| chunk.content.contains("let line_"))
        .collect();
    assert_eq!(holding.len(), 1);
    assert!(holding[0].content.contains(&fence));
    assert_eq!(holding[0].chunk_type, ChunkType::Code);

    let below = format!("# Only a heading\n\n{fence}\n");
    assert_eq!(cut_md(&below).len(), 1, "a heading stays with its code");
}

#[test]
fn a_fence_above_the_cap_is_cut_between_lines() {
    let code = (0..1000)
        .map(|n| format!("let line_{n} = {n};\n"))
        .collect::<String>();
    let text = format!("```\n{code}```\n");
    let found = cut_md(&text);
    assert!(found.len() > 5);
    for chunk in &found {
        assert_eq!(chunk.chunk_type, ChunkType::Code);
        assert!(estimate_tokens(chunk.content) <= TARGET_TOKENS);
    }
    for chunk in &found[1..found.len() - 1] {
        assert!(chunk.content.starts_with("let line_") && chunk.content.ends_with(';'));
    }
}

#[test]
fn front_matter_is_a_chunk_of_its_own() {
    let found = cut_md("---\ntitle: T\nauthor: Ada\n---\n\nBody.\n");
    let seen: Vec<_> = found
        .iter()
        .map(|chunk| (chunk.chunk_type, chunk.content))
        .collect();
    assert_eq!(
        seen,
        [
            (ChunkType::Frontmatter, "---\ntitle: T\nauthor: Ada\n---"),
            (ChunkType::Text, "Body.")
        ]
    );
}

#[test]
fn tables_are_cut_between_rows() {
    let rows: String = (0..200).map(|n| format!("{n},\"name {n}\",city\n")).collect();
    let csv = format!("id,name,city\n{rows}");
    let found = chunks(TextType::Csv, &csv);
    assert!(found.len() > 2);
    for chunk in &found {
        assert_eq!(
            (chunk.chunk_type, chunk.heading.as_str()),
            (ChunkType::Table, "id,name,city")
        );
        assert!(chunk.content.ends_with("city"), "whole rows: {}", chunk.content);
    }
}

#[test]
fn data_and_literal_files() {
    let json: String = (0..200).map(|n| format!("  \"key_{n}\": \"value\",\n")).collect();
    let json = format!("{{\n{json}  \"end\": 1\n}}\n");
    let found = chunks(TextType::Json, &json);
    assert!(found.len() > 1 && found.iter().all(|chunk| chunk.chunk_type == ChunkType::Data));
    let minified = json.replace('\n', "");
    assert_sound(TextType::Json, &minified);
    let rst = "Title\n=====\n\nSome::\n\n    code here\n";
    assert_eq!(chunks(TextType::Rst, rst)[0].heading, "Title");
}

#[test]
fn chunk_ids() {
    assert_eq!(parse_chunk_id(&chunk_id("9f1c-aa", 3)), Some(("9f1c-aa", 3)));
    assert_eq!(parse_chunk_id("a:b:0"), Some(("a:b", 0)));
    for bad in [
        "",
        "a",
        ":1",
        "a:",
        "a:-1",
        "a:+1",
        "a:01",
        "a:4294967296",
        "a: 1",
    ] {
        assert_eq!(parse_chunk_id(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn sound_for_texts_with_structure(
        parts in proptest::collection::vec(
            prop_oneof![
                "[a-zé。 .]{1,600}\n",
                "#{1,3} [a-z]{1,20}\n",
                Just("\n\n".to_owned()),
                "```\n([a-z ]{0,80}\n){0,40}```\n",
                "(\\| [a-z]{1,20} \\|\n){1,30}",
                "[漢字。、]{1,300}\n",
                "[a-z]{500,3000}",
                "(k[a-z]{1,9}: \"[a-z, ]{1,50}\"\n){1,20}",
            ],
            0..12,
        )
    ) {
        let text = parts.concat();
        for name in TextType::EXTENSIONS {
            assert_sound(TextType::of_path(&format!("x.{name}")).unwrap(), &text);
        }
    }

    #[test]
    fn sound_for_any_text(text in "(?s).{0,400}") {
        for name in TextType::EXTENSIONS {
            assert_sound(TextType::of_path(&format!("x.{name}")).unwrap(), &text);
        }
    }
}
