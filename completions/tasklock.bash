# bash completion for tasklock(1). tests/it/docs.rs holds it to the program.
# It runs tasklock for one thing: the names of the locks in the configuration files.
# COMMAND's own arguments are completed as they would be without tasklock before them,
# if bash-completion is loaded.

_tasklock()
{
    local valued=' --name --config --url --url-file --key-prefix --store-timeout --tls-ca --tls-cert
        --tls-key --ttl --wait --slots --min-hold --once-per --once-key --once-attempts --replicas
        --jitter --conflict-exit-code --lost-exit-code --signal --kill-after --on-lost --max-runtime
        --on-unavailable --reason --holder --report --log-format '
    local plain='--nonblock --foreground --quiet --verbose --help -n -q -v -h -u -w -E -k'
    local store='--name --config --url --url-file --key-prefix --store-timeout --tls-ca --tls-cert --tls-key
        --help -u -h'

    # Readline splits words at ":" and "=", too. What no blank precedes belongs to the word before.
    local -a glued=()
    local i rest line=$COMP_LINE
    for ((i = 0; i <= COMP_CWORD; i++)); do
        rest=${line#"${line%%[![:space:]]*}"}
        [[ $rest != "$line" ]] || glued[i]=1
        line=${rest#"${COMP_WORDS[i]}"}
    done

    # Walk to the word that is being completed; stop at COMMAND.
    local next first word option='' subcommand=''
    COMPREPLY=()
    for ((first = 1; ; first = next)); do
        word=${COMP_WORDS[first]}
        for ((next = first + 1; next <= COMP_CWORD; next++)); do
            [[ ${glued[next]-} ]] || break
            word+=${COMP_WORDS[next]}
        done
        ((next <= COMP_CWORD)) || break
        if [[ $option ]]; then
            option=''
        elif [[ $word == -- ]]; then
            [[ $subcommand ]] || _tasklock_command "$next"
            return
        elif [[ $word == --*=* ]]; then
            :
        elif [[ $word == --* ]]; then
            [[ " ${valued//$'\n'/ } " != *" $word "* ]] || option=$word
        elif [[ $word == -?* ]]; then
            # -vE 3 takes the next word, -E3 does not.
            [[ ! $word =~ ^-[nqvhV]*([uwEk])$ ]] || option=-${BASH_REMATCH[1]}
        elif [[ $first == 1 && $word == @(status|unlock|config) ]]; then
            subcommand=$word
        elif [[ ! $subcommand ]]; then
            _tasklock_command "$first"
            return
        fi
    done

    # What readline will replace is the last piece alone.
    local last=${COMP_WORDS[COMP_CWORD]} value=$word
    [[ $last != [:=] ]] || last=''
    if [[ ! $option && $word == --*=* ]]; then
        option=${word%%=*}
        value=${word#*=}
    fi
    local before=${value%"$last"}

    case $option in
        '') ;;
        --name) _tasklock_names "$value" ;;
        --config | --url-file | --tls-ca | --tls-cert | --tls-key | --report)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$value")
            ;;
        -u | --url)
            compopt -o nospace 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -W 'local: redis:// rediss:// unix:/// redis+sentinel:// rediss+sentinel:// redis+cluster:// rediss+cluster://' -- "$value")
            ;;
        -w | --wait) mapfile -t COMPREPLY < <(compgen -W 'forever' -- "$value") ;;
        --on-lost) mapfile -t COMPREPLY < <(compgen -W 'stop continue' -- "$value") ;;
        --on-unavailable) mapfile -t COMPREPLY < <(compgen -W 'fail run skip' -- "$value") ;;
        --log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$value") ;;
        --signal)
            mapfile -t COMPREPLY < <(compgen -W 'TERM INT HUP QUIT KILL USR1 USR2' -- "$value")
            ;;
    esac
    if [[ $option ]]; then
        COMPREPLY=("${COMPREPLY[@]#"$before"}")
    elif [[ $word == -* ]]; then
        local words="$valued $plain --version -V"
        [[ $subcommand != status ]] || words=$store
        [[ $subcommand != unlock ]] || words="$store --force"
        [[ $subcommand != config ]] || words="$valued $plain --json"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    elif [[ $subcommand ]]; then
        _tasklock_names "$word"
        COMPREPLY=("${COMPREPLY[@]#"${word%"$last"}"}")
    else
        _tasklock_command "$first"
        [[ $first != 1 ]] ||
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W 'status unlock config' -- "$word")
    fi
}

# _tasklock_names START: the locks of the configuration files that begin with START.
_tasklock_names()
{
    local name
    while IFS= read -r name; do
        printf -v name %q "$name"
        [[ $name != "$1"* ]] || COMPREPLY+=("$name")
    done < <(command tasklock config --names 2>/dev/null)
}

# _tasklock_command N: completes the command line that begins with word N.
_tasklock_command()
{
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif [[ $1 == "$COMP_CWORD" ]]; then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
}

complete -F _tasklock tasklock
