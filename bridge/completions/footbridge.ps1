# Completions of footbridge for PowerShell, made from its table of options.
# Load it from $PROFILE: . path/to/this/file
Register-ArgumentCompleter -Native -CommandName 'footbridge' -ScriptBlock {
    param($word, $ast, $position)
    $before = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $position } | ForEach-Object { "$_" })
    $commands = @{
        'setup' = 'Add the server to a client''s configuration, or remove it'
        'doctor' = 'Check every step from the configuration to a live list of tools'
        'login' = 'Sign in to the server in a browser, ahead of the first use'
        'logout' = 'Forget the sign-in to the server'
    }
    $flags = @{
        '--url' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The server''s MCP address, for example https://mcp.example.com/mcp; a local server''s socket is written unix:/run/example.sock:/mcp' }
        '--key-env' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The variable that holds the key instead. setup has the entry refer to it where the client expands variables, and else name it' }
        '--key-file' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'A file that holds the key instead; only its owner may have access to it' }
        '--ca-file' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'Certificates (PEM) to trust besides the built-in ones; SSL_CERT_FILE means the same. Those of the operating system (or of SSL_CERT_DIR) are consulted when neither suffices' }
        '--client-cert' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'A certificate (PEM) that proves to the server who this is, for servers that ask for one' }
        '--client-key' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The private key (PEM) of that certificate; only its owner may have access to it' }
        '--allow-http' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'Allow plain http:// to other machines. The key then travels unencrypted' }
        '--sign-in' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'auto: sign in with a browser when no key is set and the server offers it. kept: use and renew an earlier sign-in, open no browser. never: neither' }
        '--sign-in-timeout' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'Longest wait for the person in the browser' }
        '--client-id' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The client id agreed on with the authorization server; else one is registered' }
        '--client-secret-file' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'A file that holds the secret instead; only its owner may have access to it' }
        '--client-metadata-url' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The https address of a document about this client, for authorization servers that take one as client id' }
        '--scopes' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The scopes to ask for, separated by blanks, instead of those the server names' }
        '--grant' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'client_credentials: sign in as the client itself, with its id and secret and without a browser' }
        '--callback-port' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'The port of 127.0.0.1 that the browser comes back to; 0 is any free one' }
        '--upstream' = @{ of = @('-'); help = 'What the server speaks: modern, legacy, or auto to find out. With legacy nothing is translated' }
        '--translate' = @{ of = @('-'); help = 'Serve clients of the modern revision from a server that only knows the older ones, in a session of their own' }
        '--connect-timeout' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'Longest wait for a connection, TLS included' }
        '--response-timeout' = @{ of = @('-'); help = 'Longest wait for the server to begin its reply' }
        '--call-timeout' = @{ of = @('-'); help = 'Longest time for one request from start to end, progress or not' }
        '--max-message' = @{ of = @('-'); help = 'Largest message carried, each way' }
        '--max-in-flight' = @{ of = @('-'); help = 'Requests in flight at once; more wait in order. Over HTTP/1.1 each has a connection to itself' }
        '--log' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'What stderr is told: off, warn, info or debug. Never a body, a header value or the key' }
        '--list' = @{ of = @('setup'); help = 'List the clients found here: where each keeps its entries, and whether ours is there' }
        '--all' = @{ of = @('setup'); help = 'Every client found here that can be set up without pasting' }
        '--direct' = @{ of = @('setup'); help = 'The client connects to the server itself; taken where it can' }
        '--bridge' = @{ of = @('setup'); help = 'The client starts this program' }
        '--project' = @{ of = @('setup'); help = 'The file of the project in this directory instead of the user''s' }
        '--name' = @{ of = @('setup'); help = 'What the entry is called; this program''s name when not given' }
        '--key-stdin' = @{ of = @('setup'); help = 'Read the key from standard input' }
        '--no-key' = @{ of = @('setup'); help = 'Write an entry without a key: the server needs none, or the client signs in' }
        '--print' = @{ of = @('setup'); help = 'Print what to paste and the link to click; touch nothing' }
        '--dry-run' = @{ of = @('setup'); help = 'Show what would change; write nothing' }
        '--yes' = @{ of = @('setup'); help = 'Write without asking' }
        '--remove' = @{ of = @('setup'); help = 'Take the entry out again' }
        '--json' = @{ of = @('doctor'); help = 'Print one JSON document instead of lines' }
        '--help' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'Print this and exit' }
        '--version' = @{ of = @('-', 'setup', 'doctor', 'login', 'logout'); help = 'Print the version and exit' }
    }
    $values = @{
        '--url' = @()
        '--key-env' = @()
        '--sign-in' = @()
        '--sign-in-timeout' = @()
        '--client-id' = @()
        '--client-metadata-url' = @()
        '--scopes' = @()
        '--grant' = @()
        '--callback-port' = @()
        '--upstream' = @()
        '--connect-timeout' = @()
        '--response-timeout' = @()
        '--call-timeout' = @()
        '--max-message' = @()
        '--max-in-flight' = @()
        '--log' = @('off', 'warn', 'info', 'debug')
        '--name' = @()
    }
    $result = { param($text, $help) [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $help) }
    $previous = if ($before.Count -gt 0) { $before[-1] } else { '' }
    if ($values.ContainsKey($previous)) {
        return $values[$previous] | Where-Object { $_ -like "$word*" } | ForEach-Object { & $result $_ $_ }
    }
    $command = $before | Select-Object -Skip 1 | Where-Object { $commands.ContainsKey($_) } | Select-Object -First 1
    if (-not $command) {
        $command = '-'
        $commands.Keys | Sort-Object | Where-Object { $_ -like "$word*" } | ForEach-Object { & $result $_ $commands[$_] }
    }
    $flags.Keys | Sort-Object | Where-Object { $_ -like "$word*" -and $flags[$_].of -contains $command } | ForEach-Object { & $result $_ $flags[$_].help }
}
