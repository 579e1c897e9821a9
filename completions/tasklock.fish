# fish completion for tasklock(1). tests/it/docs.rs holds it to the program.
# It runs tasklock for one thing: the names of the locks in the configuration files.
# COMMAND and its arguments are completed as they would be without tasklock before them.

# Where the cursor is: prints "own", "status", "unlock", "config" or "command", and then,
# one a line, the finished words of COMMAND.
function __tasklock_place
    set -l words (commandline -opc)
    set -e words[1]
    if contains -- "$words[1]" status unlock config
        echo $words[1]
        return
    end
    while set -q words[1]
        set -l word $words[1]
        set -l takes_next 0
        switch $word
            case --
                set -e words[1]
                printf '%s\n' command $words
                return
            case '--*=*'
            case --name --config --url --url-file --key-prefix --store-timeout --tls-ca --tls-cert \
                --tls-key --ttl --wait --slots --min-hold --once-per --once-key --once-attempts \
                --replicas --jitter --conflict-exit-code --lost-exit-code --signal --kill-after \
                --on-lost --max-runtime --on-unavailable --reason --holder --report --log-format
                set takes_next 1
            case '--*'
            case '-?*'
                # -vE 3 takes the next word, -E3 does not.
                string match -qr -- '^-[nqvhV]*[uwEk]$' $word; and set takes_next 1
            case '*'
                printf '%s\n' command $words
                return
        end
        set -e words[1]
        test $takes_next = 1; and set -e words[1]
    end
    echo own
end

# The locks of the configuration files.
function __tasklock_names
    command -q tasklock; and command tasklock config --names 2>/dev/null
end

function __tasklock_at
    contains -- (__tasklock_place)[1] $argv
end

# Completes the command line that begins with COMMAND.
function __tasklock_command
    set -l place (__tasklock_place)
    set -l current (commandline -ct)
    switch $place[1]
        case command
            complete -C (string join ' ' -- (string escape -- $place[2..-1]) $current)
        case own
            string match -q -- '-*' $current; or complete -C $current
    end
end

complete -c tasklock -f
complete -c tasklock -n '__tasklock_at own command' -a '(__tasklock_command)'
complete -c tasklock -n 'test (count (commandline -opc)) = 1' -a status -d 'Say whether a lock is free or held'
complete -c tasklock -n 'test (count (commandline -opc)) = 1' -a unlock -d 'Ask the holder to stop and release'
complete -c tasklock -n 'test (count (commandline -opc)) = 1' -a config -d 'Show the settings of a lock'
complete -c tasklock -n '__tasklock_at status unlock config' -a '(__tasklock_names)' -d 'Lock'

complete -c tasklock -n '__tasklock_at own status unlock config' -l name -x -a '(__tasklock_names)' -d 'The lock'
complete -c tasklock -n '__tasklock_at own status unlock config' -l config -r -F -d 'Read the settings from a file'
complete -c tasklock -n '__tasklock_at own status unlock config' -s u -l url -x -a 'local: redis:// rediss:// unix:/// redis+sentinel:// rediss+sentinel:// redis+cluster:// rediss+cluster://' -d 'Where the lock lives'
complete -c tasklock -n '__tasklock_at own status unlock config' -l url-file -r -F -d 'Read the URL from a file'
complete -c tasklock -n '__tasklock_at own status unlock config' -l key-prefix -x -d 'What stands before the name in Redis'
complete -c tasklock -n '__tasklock_at own status unlock config' -l store-timeout -x -d 'The longest that one request may take'
complete -c tasklock -n '__tasklock_at own status unlock config' -l tls-ca -r -F -d 'Trust the certificates in a file'
complete -c tasklock -n '__tasklock_at own status unlock config' -l tls-cert -r -F -d 'Our own certificate'
complete -c tasklock -n '__tasklock_at own status unlock config' -l tls-key -r -F -d 'The key of our own certificate'
complete -c tasklock -n '__tasklock_at own status unlock config' -s h -l help -d 'Print help'
complete -c tasklock -n '__tasklock_at unlock' -l force -d 'Free it now, though the old job may run on'

complete -c tasklock -n '__tasklock_at own config' -l ttl -x -d 'How long the lease outlives its last refresh'
complete -c tasklock -n '__tasklock_at own config' -s w -l wait -x -a forever -d 'Stand in line for the lock this long'
complete -c tasklock -n '__tasklock_at own config' -s n -l nonblock -d 'Try once, the default'
complete -c tasklock -n '__tasklock_at own config' -l slots -x -d 'Take one of N places'
complete -c tasklock -n '__tasklock_at own config' -l min-hold -x -d 'Keep the lock this long from the start'
complete -c tasklock -n '__tasklock_at own config' -l once-per -x -d 'Once per tick of a schedule with this period'
complete -c tasklock -n '__tasklock_at own config' -l once-key -x -d 'Once per key, such as a date or a release'
complete -c tasklock -n '__tasklock_at own config' -l once-attempts -x -d 'How many runs may try in one tick'
complete -c tasklock -n '__tasklock_at own config' -l replicas -x -d 'How many replicas must have the lock'
complete -c tasklock -n '__tasklock_at own config' -l jitter -x -d 'Start after a random delay up to this'
complete -c tasklock -n '__tasklock_at own config' -s E -l conflict-exit-code -x -d 'Exit code of a skipped run'
complete -c tasklock -n '__tasklock_at own config' -l lost-exit-code -x -d 'Exit code after the lock was lost'
complete -c tasklock -n '__tasklock_at own config' -l signal -x -a 'TERM INT HUP QUIT KILL USR1 USR2' -d 'The signal that stops the command'
complete -c tasklock -n '__tasklock_at own config' -s k -l kill-after -x -d 'From that signal to KILL'
complete -c tasklock -n '__tasklock_at own config' -l on-lost -x -a 'stop continue' -d 'When the lock is lost'
complete -c tasklock -n '__tasklock_at own config' -l max-runtime -x -d 'Stop the command after this long'
complete -c tasklock -n '__tasklock_at own config' -l on-unavailable -x -a 'fail run skip' -d 'When the store cannot be reached'
complete -c tasklock -n '__tasklock_at own config' -l foreground -d 'Never give the command its own process group'
complete -c tasklock -n '__tasklock_at own config' -l reason -x -d 'Shown to whoever is skipped'
complete -c tasklock -n '__tasklock_at own config' -l holder -x -d 'Who holds the lock, for people'
complete -c tasklock -n '__tasklock_at own config' -l report -r -F -d 'Write one JSON line with the outcome'
complete -c tasklock -n '__tasklock_at own config' -s q -l quiet -d 'Do not say that a run waits or was skipped'
complete -c tasklock -n '__tasklock_at own config' -s v -l verbose -d 'Tell of acquire and release; twice: of each refresh'
complete -c tasklock -n '__tasklock_at own config' -l log-format -x -a 'text json' -d 'Form of the messages'
complete -c tasklock -n '__tasklock_at config' -l json -d 'Print JSON'
complete -c tasklock -n '__tasklock_at own' -s V -l version -d 'Print version'
