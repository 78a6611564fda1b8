//! The table → completions for four shells, kept in `completions/` and shipped in every archive. Nothing of this is in the
//! program: its tests are the generator.

use std::fmt::Write as _;

use super::table::{COMMANDS, Command, Row, TABLE, Verb};
use crate::brand;
use crate::log::Level;

/// What can stand after a flag.
enum Value {
    /// Nothing: it is a switch.
    None,
    /// A path.
    File,
    /// One of a few words.
    Words(Vec<&'static str>),
    /// Something that only the person knows.
    Free,
}

impl Row {
    fn takes(&self) -> Value {
        match self.value {
            "" => Value::None,
            "PATH" => Value::File,
            "LEVEL" => Value::Words(Level::NAMES.iter().map(|(name, _)| *name).collect()),
            _ => Value::Free,
        }
    }
}

fn commands() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.word.is_empty())
}

fn words() -> Vec<&'static str> {
    commands().map(|command| command.word).collect()
}

fn flags(verb: Verb) -> impl Iterator<Item = &'static Row> {
    TABLE
        .iter()
        .filter(move |row| !row.flag.is_empty() && row.of.contains(&verb))
}

fn flag_words(verb: Verb) -> String {
    flags(verb)
        .map(|row| format!("--{}", row.flag))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A name for a shell function: a brand may hold dashes.
fn function() -> String {
    format!("_{}", brand::NAME.replace('-', "_"))
}

fn header(shell: &str, install: &str) -> String {
    format!(
        "# Completions of {name} for {shell}, made from its table of options.\n# {install}\n",
        name = brand::NAME
    )
}

fn bash() -> String {
    let (name, function, commands) = (brand::NAME, function(), words());
    let mut text = header(
        "bash",
        &format!("Install as ~/.local/share/bash-completion/completions/{name}"),
    );
    let alternatives = commands.join(" | ");
    let _ = write!(
        text,
        "{function}() {{\n\
         \x20   local word=\"${{COMP_WORDS[COMP_CWORD]}}\" previous=\"${{COMP_WORDS[COMP_CWORD - 1]}}\" command='' seen words\n\
         \x20   for seen in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n\
         \x20       case \"$seen\" in\n\
         \x20       {alternatives}) command=\"$seen\" && break ;;\n\
         \x20       esac\n\
         \x20   done\n\
         \x20   COMPREPLY=()\n\
         \x20   case \"$previous\" in\n"
    );
    for row in TABLE.iter().filter(|row| !row.flag.is_empty()) {
        let action = match row.takes() {
            Value::None => continue,
            Value::File => "compopt -o default; return".to_owned(),
            Value::Words(words) => format!(
                "COMPREPLY=($(compgen -W '{}' -- \"$word\")); return",
                words.join(" ")
            ),
            Value::Free => "return".to_owned(),
        };
        let _ = writeln!(text, "    --{}) {action} ;;", row.flag);
    }
    text.push_str("    esac\n    case \"$command\" in\n");
    for command in self::commands() {
        let _ = writeln!(
            text,
            "    {}) words='{}' ;;",
            command.word,
            flag_words(command.verb)
        );
    }
    let _ = write!(
        text,
        "    *) words='{} {}' ;;\n    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}}\n\
         complete -F {function} {name}\n",
        commands.join(" "),
        flag_words(Verb::Connect)
    );
    text
}

fn zsh() -> String {
    let name = brand::NAME;
    // Inside single quotes, where brackets end the text and colons the field.
    let quote = |text: &str| {
        text.replace('\'', "'\\''")
            .replace('[', "\\[")
            .replace(']', "\\]")
            .replace(':', "\\:")
    };
    let arguments = |verb: Verb| {
        flags(verb).fold(String::new(), |mut text, row| {
            let action = match row.takes() {
                Value::None => String::new(),
                Value::File => ":file:_files".to_owned(),
                Value::Words(words) => format!(":{}:({})", row.value, words.join(" ")),
                Value::Free => format!(":{}: ", row.value),
            };
            let _ = write!(text, " \\\n    '--{}[{}]{action}'", row.flag, quote(row.help));
            text
        })
    };
    let mut text = format!("#compdef {name}\n");
    text.push_str(&header(
        "zsh",
        &format!("Install as _{name} in a folder of $fpath"),
    ));
    let _ = write!(
        text,
        "local curcontext=\"$curcontext\" state line\ntypeset -A opt_args\n_arguments -C{} \\\n    \
         '1: :->command' \\\n    '*:: :->operand'\n\
         case \"$state\" in\ncommand)\n  local -a commands=(\n",
        arguments(Verb::Connect)
    );
    for command in commands() {
        let _ = writeln!(text, "    '{}:{}'", command.word, quote(command.help));
    }
    text.push_str("  )\n  _describe command commands\n  ;;\noperand)\n  case \"$words[1]\" in\n");
    for command in commands() {
        let _ = write!(
            text,
            "  {})\n    _arguments{}",
            command.word,
            arguments(command.verb)
        );
        if !command.operand.is_empty() {
            let _ = write!(
                text,
                " \\\n    '1:{}: '",
                quote(command.operand.trim_matches(['[', ']']))
            );
        }
        text.push_str("\n    ;;\n");
    }
    text.push_str("  esac\n  ;;\nesac\n");
    text
}

fn fish() -> String {
    let name = brand::NAME;
    let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = header(
        "fish",
        &format!("Install as ~/.config/fish/completions/{name}.fish"),
    );
    let _ = writeln!(text, "complete -c {name} -f");
    for command in commands() {
        let _ = writeln!(
            text,
            "complete -c {name} -n __fish_use_subcommand -a {} -d '{}'",
            command.word,
            quote(command.help)
        );
    }
    for row in TABLE.iter().filter(|row| !row.flag.is_empty()) {
        let belongs = |command: &&Command| row.of.contains(&command.verb);
        let listed = |chosen: Vec<&str>| chosen.join(" ");
        let others: Vec<&str> = commands()
            .filter(|command| !belongs(command))
            .map(|command| command.word)
            .collect();
        let condition = if !row.of.contains(&Verb::Connect) {
            let own = commands().filter(belongs).map(|command| command.word).collect();
            format!(" -n '__fish_seen_subcommand_from {}'", listed(own))
        } else if others.is_empty() {
            String::new()
        } else {
            format!(" -n 'not __fish_seen_subcommand_from {}'", listed(others))
        };
        let value = match row.takes() {
            Value::None => String::new(),
            Value::File => " -r -F".to_owned(),
            Value::Words(words) => format!(" -x -a '{}'", words.join(" ")),
            Value::Free => " -x".to_owned(),
        };
        let _ = writeln!(
            text,
            "complete -c {name}{condition} -l {}{value} -d '{}'",
            row.flag,
            quote(row.help)
        );
    }
    text
}

fn powershell() -> String {
    let name = brand::NAME;
    let quote = |text: &str| text.replace('\'', "''");
    let mut text = header("PowerShell", "Load it from $PROFILE: . path/to/this/file");
    let _ = write!(
        text,
        "Register-ArgumentCompleter -Native -CommandName '{name}' -ScriptBlock {{\n\
         \x20   param($word, $ast, $position)\n\
         \x20   $before = @($ast.CommandElements | Where-Object {{ $_.Extent.EndOffset -lt $position }} | ForEach-Object {{ \"$_\" }})\n\
         \x20   $commands = @{{\n"
    );
    for command in commands() {
        let _ = writeln!(text, "        '{}' = '{}'", command.word, quote(command.help));
    }
    text.push_str("    }\n    $flags = @{\n");
    for row in TABLE.iter().filter(|row| !row.flag.is_empty()) {
        // Every other element that belongs to the flag: the commands that take it ('-': no command), then its meaning.
        let of = row.of.iter().filter_map(|verb| {
            let command = COMMANDS.iter().find(|command| command.verb == *verb)?;
            Some(format!(
                "'{}'",
                if command.word.is_empty() {
                    "-"
                } else {
                    command.word
                }
            ))
        });
        let _ = writeln!(
            text,
            "        '--{}' = @{{ of = @({}); help = '{}' }}",
            row.flag,
            of.collect::<Vec<_>>().join(", "),
            quote(row.help)
        );
    }
    text.push_str("    }\n    $values = @{\n");
    for row in TABLE.iter().filter(|row| !row.flag.is_empty()) {
        match row.takes() {
            Value::None | Value::File => {}
            Value::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                let _ = writeln!(text, "        '--{}' = @({})", row.flag, words.join(", "));
            }
            Value::Free => {
                let _ = writeln!(text, "        '--{}' = @()", row.flag);
            }
        }
    }
    text.push_str(
        "    }\n\
         \x20   $result = { param($text, $help) [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $help) }\n\
         \x20   $previous = if ($before.Count -gt 0) { $before[-1] } else { '' }\n\
         \x20   if ($values.ContainsKey($previous)) {\n\
         \x20       return $values[$previous] | Where-Object { $_ -like \"$word*\" } | ForEach-Object { & $result $_ $_ }\n\
         \x20   }\n\
         \x20   $command = $before | Select-Object -Skip 1 | Where-Object { $commands.ContainsKey($_) } | Select-Object -First 1\n\
         \x20   if (-not $command) {\n\
         \x20       $command = '-'\n\
         \x20       $commands.Keys | Sort-Object | Where-Object { $_ -like \"$word*\" } | ForEach-Object { & $result $_ $commands[$_] }\n\
         \x20   }\n\
         \x20   $flags.Keys | Sort-Object | Where-Object { $_ -like \"$word*\" -and $flags[$_].of -contains $command } | ForEach-Object { & $result $_ $flags[$_].help }\n\
         }\n",
    );
    text
}

#[test]
fn completions_are_the_table() {
    let name = brand::NAME;
    for (file, text) in [
        (format!("{name}.bash"), bash()),
        (format!("_{name}"), zsh()),
        (format!("{name}.fish"), fish()),
        (format!("{name}.ps1"), powershell()),
    ] {
        super::manual::keep(&format!("completions/{file}"), &text);
    }
}
