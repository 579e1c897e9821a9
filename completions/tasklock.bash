# bash completion for tasklock(1). tests/it/docs.rs holds it to the program.
# It runs tasklock for one thing: the names of the locks in the configuration files.
# COMMAND's own arguments are completed as they would be without tasklock before them,
# if bash-completion is loaded.

_tasklock()
{
    # The options; those with a "=" take a value.
    local store='--name= --config= --url= -u= --url-file= --key-prefix= --store-timeout=
        --tls-ca= --tls-cert= --tls-key= --help -h'
    local taking='--ttl= --wait= -w= --nonblock -n --slots= --replicas= --conflict-exit-code= -E=
        --reason= --holder= --quiet -q'
    local run="$taking --min-hold= --once-per= --once-key= --once-attempts= --history= --jitter=
        --lost-exit-code= --signal= --kill-after= -k= --on-lost= --max-runtime= --on-unavailable=
        --foreground --report= --verbose -v --log-format="
    # What each subcommand has beside those of the store.
    local -A own=(
        [status]='--max-age= --json'
        [list]='--format= --json --watch'
        [history]='--limit= --json'
        [unlock]='--no-wait --force --yes'
        [acquire]="$taking --token= --format= --json"
        [refresh]='--token= --ttl= --format= --json'
        [release]='--token='
        [check]='--token= --verbose -v'
        [config]="$run --json"
        [doctor]='--ttl= --json --fix'
    )
    local -A values=(
        [--url]='local: redis:// rediss:// unix:/// redis+sentinel:// rediss+sentinel://
            redis+cluster:// rediss+cluster://'
        [--wait]='forever'
        [--signal]='TERM INT HUP QUIT KILL USR1 USR2'
        [--on-lost]='stop continue'
        [--on-unavailable]='fail run skip'
        [--log-format]='text json'
        [--format]='plain json env'
    )

    # Readline splits words at ":" and "=", too. What no blank precedes belongs to the word before.
    local -a glued=()
    local i rest line=$COMP_LINE
    for ((i = 0; i <= COMP_CWORD; i++)); do
        rest=${line#"${line%%[![:space:]]*}"}
        [[ $rest != "$line" ]] || glued[i]=1
        line=${rest#"${COMP_WORDS[i]}"}
    done

    # Walk to the word that is being completed; stop at COMMAND.
    local next first word option='' subcommand='' named=''
    local -a options=($store $run --version -V)
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
        elif [[ $word == -- && ! $subcommand ]]; then
            _tasklock_command "$next"
            return
        elif [[ $word == --* ]]; then
            [[ $word != --name?(=*) ]] || named=1
            [[ " ${options[*]} " != *" $word= "* ]] || option=$word
        elif [[ $word == -?* ]]; then
            # -vE 3 takes the next word, -E3 does not.
            [[ ! $word =~ ^-[nqvhV]*([uwEk])$ ]] || option=-${BASH_REMATCH[1]}
        elif [[ $subcommand ]]; then
            named=1
        elif [[ $first == 1 && " ${!own[*]} " == *" $word "* ]]; then
            subcommand=$word
            options=($store ${own[$word]})
            [[ $word != list ]] || values[--format]='table json prometheus'
        else
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
        '')
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "${options[*]%=}" -- "$word")
            elif [[ ! $subcommand ]]; then
                _tasklock_command "$first"
                [[ $first != 1 ]] ||
                    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "${!own[*]}" -- "$word")
                return
            elif [[ ! $named || $subcommand == status ]]; then
                _tasklock_names "$word"
            fi
            ;;
        --name) _tasklock_names "$value" ;;
        --config | --url-file | --tls-ca | --tls-cert | --tls-key | --report)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$value")
            ;;
        -u | --url)
            compopt -o nospace 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -W "${values[--url]}" -- "$value")
            ;;
        -w) mapfile -t COMPREPLY < <(compgen -W "${values[--wait]}" -- "$value") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "${values[$option]-}" -- "$value") ;;
    esac
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
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
