# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kgrca_global_optspecs
    string join \n o/output= context= q/quiet h/help V/version
end

function __fish_kgrca_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kgrca_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kgrca_using_subcommand
    set -l cmd (__fish_kgrca_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kgrca -n "__fish_kgrca_needs_command" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_needs_command" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_needs_command" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_needs_command" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "rca" -d 'Show what caused an incident'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "incident" -d 'List, follow and handle incidents'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "resource" -d 'Look at resources of the graph'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "stats" -d 'Show what the tenant has sent and what became of it'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "analyze" -d 'Find causes in files or standard input, without a server'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "eval" -d 'Measure the engine on labelled cases'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "replay" -d 'Run a saved incident through this engine, against its stored answer'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "fault" -d 'Look at the catalogue of faults'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "tenant" -d 'Manage tenants (operator)'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "key" -d 'Manage a tenant\'s API keys (operator)'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "billing" -d 'Plans, usage and invoices (operator)'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "dlq" -d 'Look at rejected records'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "context" -d 'Choose the server and keys to work with'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "config" -d 'Show settings and where they come from'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "up" -d 'Run a server here, on embedded stores'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "demo" -d 'Show a recorded incident explained, and leave nothing behind'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "doctor" -d 'Check that everything works'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "completions" -d 'Print a completion script'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "man" -d 'Print the manual page, or write all of them into a folder'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "version" -d 'Print the version'
complete -c kgrca -n "__fish_kgrca_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -l at -d 'The answer as it stood at this time' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -l scorer -d 'Formula that ranks' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -l tree -d 'Draw the path as a tree'
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -s w -l watch -d 'Go on and print the answer whenever it changes'
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand rca" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "list" -d 'List incidents, newest first'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "show" -d 'Show an incident with its changes'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "watch" -d 'Follow changes of all incidents'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "wait" -d 'Wait until an incident is over'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "ack" -d 'Say that somebody looks'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "resolve" -d 'Say that it is over'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "feedback" -d 'Say what it really was'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and not __fish_seen_subcommand_from list show watch wait ack resolve feedback help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -l state -d 'open, acknowledged, resolved or reopened' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -l severity -d 'At least this severity' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -l component -d 'Component of the first cause' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -s n -l namespace -d 'Namespace of the first cause' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -l cluster -d 'Cluster' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -l limit -d 'Most rows' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from show" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from watch" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from watch" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from watch" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from watch" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from wait" -l timeout -d 'Give up after this many seconds' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from wait" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from wait" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from wait" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from wait" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from ack" -l note -d 'Remark' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from ack" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from ack" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from ack" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from ack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from ack" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from resolve" -l note -d 'Remark' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from resolve" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from resolve" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from resolve" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from resolve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from resolve" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -l component -d 'The component at fault, such as app/cart' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -l fault -d 'The fault type' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -l note -d 'Remark' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from feedback" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "list" -d 'List incidents, newest first'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show an incident with its changes'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "watch" -d 'Follow changes of all incidents'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "wait" -d 'Wait until an incident is over'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "ack" -d 'Say that somebody looks'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "resolve" -d 'Say that it is over'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "feedback" -d 'Say what it really was'
complete -c kgrca -n "__fish_kgrca_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -f -a "list" -d 'List live resources'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -f -a "show" -d 'Show a resource with its surroundings'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and not __fish_seen_subcommand_from list show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -l kind -d 'Kind' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -s n -l namespace -d 'Namespace' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -s l -l label -d 'Label, key=value' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -l limit -d 'Most rows' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -l unhealthy -d 'Only those that are not well'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from show" -l depth -d 'How far to look, in edges' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from show" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from help" -f -a "list" -d 'List live resources'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a resource with its surroundings'
complete -c kgrca -n "__fish_kgrca_using_subcommand resource; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand stats" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand stats" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand stats" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand stats" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -l at -d 'Look at this instant instead of the newest record\'s' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -s n -l namespace -d 'Only causes of this namespace and of things outside namespaces' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -l scorer -d 'Formula that ranks' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -l top -d 'Most causes per input' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -s j -l jobs -d 'Inputs worked on at once' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -l fail-on -d 'Exit with 10 when this is found' -r -f -a "cause\t''"
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand analyze" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -f -a "run" -d 'Run all cases of a folder'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and not __fish_seen_subcommand_from run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -l labels -d 'YAML map from `root_cause` words to fault ids' -r -F
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -l scorer -d 'Formula that ranks' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -l report -d 'Write the whole report as JSON' -r -F
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -l baseline -d 'Exit with 10 when worse than this report' -r -F
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run all cases of a folder'
complete -c kgrca -n "__fish_kgrca_using_subcommand eval; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand replay" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand replay" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand replay" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand replay" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -f -a "list" -d 'List all faults'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -f -a "show" -d 'Show one fault: what reveals it, what rules it out, the fix'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and not __fish_seen_subcommand_from list show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from list" -l family -d 'Only one family, such as `scheduling`' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from show" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all faults'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one fault: what reveals it, what rules it out, the fix'
complete -c kgrca -n "__fish_kgrca_using_subcommand fault; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "create" -d 'Create a tenant; its first key is shown once'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "list" -d 'List tenants with lag, last record, usage and storage'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "show" -d 'Show a tenant'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "suspend" -d 'Stop serving a tenant; nothing is lost'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "resume" -d 'Serve a suspended tenant again'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "delete" -d 'Delete a tenant and its records'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and not __fish_seen_subcommand_from create list show suspend resume delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -l plan -d 'Plan: free, basic, pro or enterprise' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -l email -d 'Whom to write to' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from show" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from suspend" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from suspend" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from suspend" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from suspend" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from suspend" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from resume" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from resume" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from resume" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from resume" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -l yes -d 'Do not ask'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -l dry-run -d 'Only show what would be deleted'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "create" -d 'Create a tenant; its first key is shown once'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "list" -d 'List tenants with lag, last record, usage and storage'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a tenant'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "suspend" -d 'Stop serving a tenant; nothing is lost'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Serve a suspended tenant again'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a tenant and its records'
complete -c kgrca -n "__fish_kgrca_using_subcommand tenant; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -f -a "create" -d 'Create a key; it is shown once'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -f -a "list" -d 'List keys; never the secrets'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -f -a "revoke" -d 'Revoke a key'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -f -a "rotate" -d 'Create a key like another one; the old one stays until it is revoked'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and not __fish_seen_subcommand_from create list revoke rotate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -l name -d 'What it is for' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -l scopes -d 'What it may do: ingest, read, query, billing' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from list" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -l yes -d 'Do not ask'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from rotate" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from rotate" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from rotate" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from rotate" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from rotate" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "create" -d 'Create a key; it is shown once'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "list" -d 'List keys; never the secrets'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke a key'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Create a key like another one; the old one stays until it is revoked'
complete -c kgrca -n "__fish_kgrca_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -f -a "plans" -d 'List the plans'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -f -a "report" -d 'Usage of a tenant by day'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -f -a "preview" -d 'The invoice of a month as it stands, to the cent'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -f -a "verify" -d 'Recount events from the log; exit 10 when a day differs'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and not __fish_seen_subcommand_from plans report preview verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from plans" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from plans" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from plans" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from plans" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from plans" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -l from -d 'First day, YYYY-MM-DD; the first of this month when absent' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -l to -d 'Day after the last; tomorrow when absent' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -l by-month -d 'Sum up by month'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from report" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -l month -d 'Month, YYYY-MM; this one when absent' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from preview" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -l tenant -d 'Tenant\'s id' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -l from -d 'First day, YYYY-MM-DD; the first of this month when absent' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -l to -d 'Day after the last; tomorrow when absent' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -l by-month -d 'Sum up by month'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from help" -f -a "plans" -d 'List the plans'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from help" -f -a "report" -d 'Usage of a tenant by day'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from help" -f -a "preview" -d 'The invoice of a month as it stands, to the cent'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Recount events from the log; exit 10 when a day differs'
complete -c kgrca -n "__fish_kgrca_using_subcommand billing; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -f -a "list" -d 'List rejected records, oldest first'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -f -a "show" -d 'Show one rejected record'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -f -a "retry" -d 'Send a rejected record again, after its sender or the limit was mended'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and not __fish_seen_subcommand_from list show retry help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -l cursor -d 'Go on behind this place' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -l limit -d 'Most rows' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from show" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from retry" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from retry" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from retry" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from retry" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from help" -f -a "list" -d 'List rejected records, oldest first'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one rejected record'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Send a rejected record again, after its sender or the limit was mended'
complete -c kgrca -n "__fish_kgrca_using_subcommand dlq; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -f -a "add" -d 'Add a context; keys are read from `KGRCA_API_KEY` and `KGRCA_OPERATOR_KEY`, or asked for'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -f -a "use" -d 'Make a context the current one'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -f -a "list" -d 'List contexts'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -f -a "remove" -d 'Remove a context'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and not __fish_seen_subcommand_from add use list remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from add" -l url -d 'Address of the API' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from add" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from add" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from add" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from use" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from use" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from use" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from use" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from use" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from list" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from list" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from list" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from remove" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from remove" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a context; keys are read from `KGRCA_API_KEY` and `KGRCA_OPERATOR_KEY`, or asked for'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "use" -d 'Make a context the current one'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "list" -d 'List contexts'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a context'
complete -c kgrca -n "__fish_kgrca_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -f -a "show" -d 'Show each setting, its value and where it comes from'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and not __fish_seen_subcommand_from show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from show" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show each setting, its value and where it comes from'
complete -c kgrca -n "__fish_kgrca_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -l listen -d 'Address of the API' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -l detach -d 'Go on in the background'
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand up" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand demo" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand demo" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand demo" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand demo" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand doctor" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand doctor" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand doctor" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand completions" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand completions" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand completions" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand completions" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand man" -l dir -d 'Folder to write one page per command into; the main page is printed when absent' -r -F
complete -c kgrca -n "__fish_kgrca_using_subcommand man" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand man" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand man" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand man" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand version" -s o -l output -d 'Output format' -r -f -a "table\t'For people; tab-separated without header when piped'
json\t'JSON, UTC times'
yaml\t'YAML'
name\t'Names only, one per line'
csv\t'CSV with header'"
complete -c kgrca -n "__fish_kgrca_using_subcommand version" -l context -d 'Context to use instead of the current one' -r
complete -c kgrca -n "__fish_kgrca_using_subcommand version" -s q -l quiet -d 'No progress and no messages'
complete -c kgrca -n "__fish_kgrca_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kgrca -n "__fish_kgrca_using_subcommand version" -s V -l version -d 'Print version'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "rca" -d 'Show what caused an incident'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "incident" -d 'List, follow and handle incidents'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "resource" -d 'Look at resources of the graph'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "stats" -d 'Show what the tenant has sent and what became of it'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "analyze" -d 'Find causes in files or standard input, without a server'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "eval" -d 'Measure the engine on labelled cases'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "replay" -d 'Run a saved incident through this engine, against its stored answer'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "fault" -d 'Look at the catalogue of faults'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "tenant" -d 'Manage tenants (operator)'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "key" -d 'Manage a tenant\'s API keys (operator)'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "billing" -d 'Plans, usage and invoices (operator)'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "dlq" -d 'Look at rejected records'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "context" -d 'Choose the server and keys to work with'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "config" -d 'Show settings and where they come from'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "up" -d 'Run a server here, on embedded stores'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "demo" -d 'Show a recorded incident explained, and leave nothing behind'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "doctor" -d 'Check that everything works'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "completions" -d 'Print a completion script'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "man" -d 'Print the manual page, or write all of them into a folder'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "version" -d 'Print the version'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and not __fish_seen_subcommand_from rca incident resource stats analyze eval replay fault tenant key billing dlq context config up demo doctor completions man version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "list" -d 'List incidents, newest first'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "show" -d 'Show an incident with its changes'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "watch" -d 'Follow changes of all incidents'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "wait" -d 'Wait until an incident is over'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "ack" -d 'Say that somebody looks'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "resolve" -d 'Say that it is over'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "feedback" -d 'Say what it really was'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from resource" -f -a "list" -d 'List live resources'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from resource" -f -a "show" -d 'Show a resource with its surroundings'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from eval" -f -a "run" -d 'Run all cases of a folder'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from fault" -f -a "list" -d 'List all faults'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from fault" -f -a "show" -d 'Show one fault: what reveals it, what rules it out, the fix'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from tenant" -f -a "create" -d 'Create a tenant; its first key is shown once'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from tenant" -f -a "list" -d 'List tenants with lag, last record, usage and storage'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from tenant" -f -a "show" -d 'Show a tenant'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from tenant" -f -a "suspend" -d 'Stop serving a tenant; nothing is lost'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from tenant" -f -a "resume" -d 'Serve a suspended tenant again'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from tenant" -f -a "delete" -d 'Delete a tenant and its records'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "create" -d 'Create a key; it is shown once'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "list" -d 'List keys; never the secrets'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "revoke" -d 'Revoke a key'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "rotate" -d 'Create a key like another one; the old one stays until it is revoked'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from billing" -f -a "plans" -d 'List the plans'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from billing" -f -a "report" -d 'Usage of a tenant by day'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from billing" -f -a "preview" -d 'The invoice of a month as it stands, to the cent'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from billing" -f -a "verify" -d 'Recount events from the log; exit 10 when a day differs'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from dlq" -f -a "list" -d 'List rejected records, oldest first'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from dlq" -f -a "show" -d 'Show one rejected record'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from dlq" -f -a "retry" -d 'Send a rejected record again, after its sender or the limit was mended'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "add" -d 'Add a context; keys are read from `KGRCA_API_KEY` and `KGRCA_OPERATOR_KEY`, or asked for'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "use" -d 'Make a context the current one'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "list" -d 'List contexts'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "remove" -d 'Remove a context'
complete -c kgrca -n "__fish_kgrca_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show each setting, its value and where it comes from'
