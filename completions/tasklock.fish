# fish completion for tasklock(1). tests/it/docs.rs holds it to the program.
# It runs tasklock for one thing: the names of the locks in the configuration files.
# COMMAND and its arguments are completed as they would be without tasklock before them.

# Where the cursor is: prints "run", the name of a subcommand or "command". After a subcommand,
# "named" tells that it has a lock already; after "command" follow its finished words, one a line.
function __tasklock_place
    set -l words (commandline -opc)
    set -e words[1]
    set -l place run
    if contains -- "$words[1]" $__tasklock_subcommands
        set place $words[1]
        set -e words[1]
    end
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        switch $word
            case --
                if test $place = run
                    set place command $words
                    break
                end
            case '--*'
                string match -qr -- '^--name(=|$)' $word; and set place[2] named
                contains -- $word $__tasklock_valued; and set -e words[1]
            case '-?*'
                # -vE 3 takes the next word, -E3 does not.
                string match -qr -- '^-[nqvhV]*[uwEk]$' $word; and set -e words[1]
            case '*'
                if test $place[1] = run
                    set place command $word $words
                    break
                end
                set place[2] named
        end
    end
    printf '%s\n' $place
end

function __tasklock_at
    contains -- (__tasklock_place)[1] $argv
end

# A subcommand takes one lock, status any number of them.
function __tasklock_at_name
    set -l place (__tasklock_place)
    contains -- $place[1] $__tasklock_subcommands
    and test $place[1] = status -o (count $place) = 1
end

# The locks of the configuration files.
function __tasklock_names
    command -q tasklock; and command tasklock config --names 2>/dev/null
end

# Completes the command line that begins with COMMAND.
function __tasklock_command
    set -l place (__tasklock_place)
    set -l current (commandline -ct)
    switch $place[1]
        case command
            complete -C (string join ' ' -- (string escape -- $place[2..-1]) $current)
        case run
            string match -q -- '-*' $current; or complete -C $current
    end
end

# Two helpers for the tables below; they are gone at the end of this file.
set -g __tasklock_subcommands
function __tasklock_subcommand -a name description
    complete -c tasklock -n 'test (count (commandline -opc)) = 1' -a $name -d $description
    set -ga __tasklock_subcommands $name
end

set -g __tasklock_valued
function __tasklock_option -a places name description
    complete -c tasklock -n "__tasklock_at $places" -l $name -d $description $argv[4..]
    string match -qr -- '(^| )-[rx]' "$argv[4..]"; and set -ga __tasklock_valued --$name
end

complete -c tasklock -f
complete -c tasklock -n '__tasklock_at run command' -a '(__tasklock_command)'
complete -c tasklock -n __tasklock_at_name -a '(__tasklock_names)' -d Lock

__tasklock_subcommand status 'Say whether a lock is free or held, and by whom'
__tasklock_subcommand list 'List all locks'
__tasklock_subcommand history 'Show the last runs of a lock'
__tasklock_subcommand unlock 'Ask the holder of a lock to stop and release it'
__tasklock_subcommand acquire 'Take a lock and leave it held'
__tasklock_subcommand refresh 'Let the lease of a lock run from now'
__tasklock_subcommand release 'Give back a lock'
__tasklock_subcommand check 'Say whether a lock is still held'
__tasklock_subcommand config 'Show the settings of a lock and where they come from'
__tasklock_subcommand doctor 'Look at the store, and say what to do about it'

set -l all run $__tasklock_subcommands
__tasklock_option "$all" name 'The lock' -x -a '(__tasklock_names)'
__tasklock_option "$all" config 'Read the settings from a file' -rF
__tasklock_option "$all" url 'Where the lock lives' -s u -x -a 'local: redis:// rediss:// unix:/// redis+sentinel:// rediss+sentinel:// redis+cluster:// rediss+cluster://'
__tasklock_option "$all" url-file 'Read the URL from a file' -rF
__tasklock_option "$all" key-prefix 'What stands before the name in Redis' -x
__tasklock_option "$all" store-timeout 'The longest that one request to the store may take' -x
__tasklock_option "$all" tls-ca 'Trust the certificates in a file' -rF
__tasklock_option "$all" tls-cert 'Our own certificate' -rF
__tasklock_option "$all" tls-key 'The key of our own certificate' -rF
__tasklock_option "$all" help 'Print help' -s h
__tasklock_option run version 'Print version' -s V

__tasklock_option 'run config acquire refresh' ttl 'How long the lock is held without a refresh' -x
__tasklock_option 'run config acquire' wait 'Stand in line for the lock this long' -s w -x -a forever
__tasklock_option 'run config acquire' nonblock 'Try once, the default' -s n
__tasklock_option 'run config acquire' slots 'Take one of N places' -x
__tasklock_option 'run config acquire' replicas 'How many replicas must have the lock' -x
__tasklock_option 'run config acquire' conflict-exit-code 'Exit code when the lock is not to be had' -s E -x
__tasklock_option 'run config acquire' reason 'Shown to whoever is skipped' -x
__tasklock_option 'run config acquire' holder 'Who holds the lock, for people' -x
__tasklock_option 'run config acquire' quiet 'Do not tell of waiting, or of who has the lock' -s q

__tasklock_option 'run config' min-hold 'Keep the lock this long from the start' -x
__tasklock_option 'run config' once-per 'Once per tick of a schedule with this period' -x
__tasklock_option 'run config' once-key 'Once per key, such as a date or a release' -x
__tasklock_option 'run config' once-attempts 'How many runs may try in one tick' -x
__tasklock_option 'run config' history 'How many runs are remembered' -x
__tasklock_option 'run config' jitter 'Start after a random delay up to this' -x
__tasklock_option 'run config' lost-exit-code 'Exit code after the lock was lost' -x
__tasklock_option 'run config' signal 'The signal that stops the command' -x -a 'TERM INT HUP QUIT KILL USR1 USR2'
__tasklock_option 'run config' kill-after 'From that signal to KILL' -s k -x
__tasklock_option 'run config' on-lost 'When the lock is lost' -x -a 'stop continue'
__tasklock_option 'run config' max-runtime 'Stop the command after this long' -x
__tasklock_option 'run config' on-unavailable 'When the store cannot be reached' -x -a 'fail run skip'
__tasklock_option 'run config' foreground 'Never give the command its own process group'
__tasklock_option 'run config' report 'Write one JSON line with the outcome' -rF
__tasklock_option 'run config' verbose 'Tell of acquire and release; twice: of each refresh' -s v
__tasklock_option 'run config' log-format 'Form of the messages' -x -a 'text json'

__tasklock_option status max-age 'Exit 1 unless the last success is younger' -x
__tasklock_option 'status list history acquire refresh config doctor' json 'Print JSON'
__tasklock_option list format 'How the locks are told' -x -a 'table json prometheus'
__tasklock_option list watch 'Keep the table up to date'
__tasklock_option history limit 'Only the last N runs' -x
__tasklock_option unlock no-wait 'Only ask: do not wait until the lock is free'
__tasklock_option unlock force 'Free it now, though the old job may run on'
__tasklock_option unlock yes 'With --force: do not ask first'
__tasklock_option 'acquire refresh release check' token 'What proves that the lock is yours' -x
__tasklock_option 'acquire refresh' format 'How the answer is written' -x -a 'plain json env'
__tasklock_option check verbose 'Say so when the lock is held, too' -s v
__tasklock_option doctor ttl 'The ttl of the runs that the store is for' -x
__tasklock_option doctor fix 'Give what crashed runs left behind its 30 days'

functions -e __tasklock_subcommand __tasklock_option
