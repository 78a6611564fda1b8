//! Transcript text to exchanges.

use serde_json::Value;

use super::{Body, Exchange, Fault, Reply, Request, Transcript};

/// One `>` or `<` block: its lines without the mark, and where it starts.
struct Block<'t> {
    line: usize,
    sent: bool,
    title: &'t str,
    lines: Vec<&'t str>,
}

pub(super) fn transcript(text: &str) -> Result<Transcript, Fault> {
    let mut exchanges = Vec::new();
    let mut blocks = blocks(text)?.into_iter();
    while let Some(sent) = blocks.next() {
        if !sent.sent {
            return Err(syntax(sent.line, "a reply needs a request above it"));
        }
        let received = blocks.next().filter(|block| !block.sent);
        let received = received.ok_or_else(|| syntax(sent.line, "a request needs a reply below it"))?;
        exchanges.push(Exchange {
            line: sent.line,
            title: sent.title.to_owned(),
            request: request(&sent)?,
            reply: reply(&received)?,
        });
    }
    Ok(Transcript { exchanges })
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, Fault> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut title = "";
    let mut in_comment = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let marked = match (line.strip_prefix('>'), line.strip_prefix('<')) {
            (Some(rest), _) => Some((true, rest)),
            (_, Some(rest)) => Some((false, rest)),
            (None, None) => None,
        };
        let Some((sent, rest)) = marked else {
            if let Some(comment) = line.strip_prefix('#') {
                if !in_comment {
                    title = comment.trim();
                }
            } else if !line.is_empty() {
                return Err(syntax(number, "a line starts with `>`, `<` or `#`, or is empty"));
            }
            in_comment = line.starts_with('#');
            continue;
        };
        in_comment = false;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match blocks.last_mut() {
            Some(block) if block.sent == sent => block.lines.push(rest),
            _ => blocks.push(Block {
                line: number,
                sent,
                title,
                lines: vec![rest],
            }),
        }
    }
    Ok(blocks)
}

fn request(block: &Block<'_>) -> Result<Request, Fault> {
    let (first, headers, body) = parts(block)?;
    let (method, target) = first
        .split_once(' ')
        .ok_or_else(|| syntax(block.line, "expected a method and a target"))?;
    let headers = headers
        .into_iter()
        .map(|(line, text)| {
            let (name, value) = header(line, text)?;
            Ok((name, value.to_owned()))
        })
        .collect::<Result<_, Fault>>()?;
    let body = body.map(|lines| lines.join("\n")).unwrap_or_default();
    Ok(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
    })
}

fn reply(block: &Block<'_>) -> Result<Reply, Fault> {
    let (first, headers, body) = parts(block)?;
    let status = first
        .parse()
        .map_err(|_| syntax(block.line, "expected a status"))?;
    let headers = headers
        .into_iter()
        .map(|(line, text)| match text.strip_prefix('!') {
            Some(name) => Ok((name.to_ascii_lowercase(), None)),
            None => header(line, text).map(|(name, value)| (name, Some(value.to_owned()))),
        })
        .collect::<Result<_, Fault>>()?;
    let body = match body {
        None => Body::Unchecked,
        Some(lines) if lines == ["[empty]"] => Body::Empty,
        Some(lines) => Body::Messages(
            lines
                .iter()
                .map(|line| serde_json::from_str::<Value>(line))
                .collect::<Result<_, _>>()
                .map_err(|_| syntax(block.line, "each line of an expected body is one JSON value"))?,
        ),
    };
    Ok(Reply {
        status,
        headers,
        body,
    })
}

type Parts<'b, 't> = (&'t str, Vec<(usize, &'t str)>, Option<&'b [&'t str]>);

/// First line, header lines with their numbers, and the body after the first empty line.
fn parts<'b, 't>(block: &'b Block<'t>) -> Result<Parts<'b, 't>, Fault> {
    let (first, rest) = block
        .lines
        .split_first()
        .ok_or_else(|| syntax(block.line, "expected a first line"))?;
    let end = rest.iter().position(|line| line.is_empty());
    let (headers, body) = match end.and_then(|end| rest.split_at_checked(end)) {
        Some((headers, body)) => (headers, body.get(1..)),
        None => (rest, None),
    };
    let numbered = headers
        .iter()
        .enumerate()
        .map(|(index, text)| (block.line + 1 + index, *text));
    Ok((first, numbered.collect(), body))
}

fn header(line: usize, text: &str) -> Result<(String, &str), Fault> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| syntax(line, "expected `name: value`"))?;
    Ok((
        name.to_ascii_lowercase(),
        value.strip_prefix(' ').unwrap_or(value),
    ))
}

fn syntax(line: usize, what: &'static str) -> Fault {
    Fault::Syntax { line, what }
}
